package PAGI::Server::Core;
use strict;
use warnings;

use Config;
use File::Basename qw(dirname);
use XSLoader;

use PAGI::Server::Future;
use PAGI::Server::Pending;

our $VERSION = '0.003000';

# In a checkout the object lies in blib/, wherever perl was started.
sub _built_here {
    my $root  = dirname(__FILE__) . '/../../..';
    my $built = "$root/blib/arch";
    return -e "$root/Cargo.toml"
        && -e "$built/auto/PAGI/Server/Server.$Config{dlext}" ? $built : ();
}

{
    local @INC = (_built_here(), @INC);
    XSLoader::load('PAGI::Server', $VERSION);
}

PAGI::Server::Future->use_fast_await;
PAGI::Server::Pending->use_fast_await;
_share_done();

# A server belongs to the interpreter that made it; a new one starts with tables of its own.
sub CLONE_SKIP { 1 }

sub CLONE {
    _clone_tables();
    _share_done();
}

sub _share_done {
    _set_done(PAGI::Server::Future->done, PAGI::Server::Future->is_plain ? 1 : 0);
}

sub start {
    my ($class, %args) = @_;

    return _start(\%args);
}

sub check_tls {
    my ($class, $settings) = @_;

    _fail(_check_tls($settings, 0));
}

sub hold_tls {
    my ($class, $settings) = @_;

    _fail(_check_tls($settings, 1));
}

sub secure {
    my ($self, $settings) = @_;

    _fail($self->_secure($settings));
}

sub reload_tls {
    my ($self) = @_;

    return ($self->_reload_tls)[0];
}

sub _fail {
    my ($error) = @_;

    die "$error\n" if defined $error;
}

sub listen {
    my ($self, $socket, $path) = @_;

    my ($error) = $self->_listen(fileno $socket, $path);
    die "Cannot accept connections: $error\n" if defined $error;
}

sub adopt {
    my ($self, %args) = @_;

    my $socket = fileno $args{socket};
    my $outer  = $args{outer} ? fileno $args{outer} : undef;
    $outer = $socket unless defined $outer && $outer >= 0;    # a tied one may have none
    my ($error) = $self->_adopt($socket, $outer, $args{path}, $args{early} // '', $args{tls});
    die "Cannot serve the connection: $error\n" if defined $error;
}

1;

__END__

=encoding utf8

=head1 NAME

PAGI::Server::Core - the Rust core's handle in Perl

=head1 DESCRIPTION

Loads the compiled object and gives it to the classes of this distribution. Nothing here is meant
for applications; see L<PAGI::Server>.

=head1 CLASS METHODS

=head2 start

    my $core = PAGI::Server::Core->start(%args);

Starts a core: its thread, if the process has none yet, and the links to it. Arguments: C<app>,
C<loop>, C<settings> (the core's options as numbers), C<state>, C<extensions>, C<fullflush>,
C<validate_events>, C<access_log> and C<log_format>, and the callbacks C<on_log>, C<on_stopped>,
C<on_idle> and C<on_request>. Dies with the core's text where it cannot start.

=head2 check_tls

    PAGI::Server::Core->check_tls(\@settings);

Reads certificates and keys as L<PAGI::Server::TLS/settings> names them. Dies with what is wrong.
What is good is kept for processes that are forked from this one.

=head2 hold_tls

    PAGI::Server::Core->hold_tls(\@settings);

The same, and what was read is kept for this process, too, which is about to give up the rights that
reading it needs.

=head1 METHODS

=head2 secure

    $core->secure(\@settings);

The TCP listeners that follow speak TLS. Dies as C<check_tls> does.

=head2 reload_tls

Reads the files anew, for connections accepted from now on. Returns what is wrong with them, in
which case the old certificates stay, or undef.

=head2 listen

    $core->listen($socket, $path);

Accepts on a duplicate of a listening socket. C<$path> is that of a Unix socket, as the scopes shall
tell it, undef for TCP. Dies with C<Cannot accept connections: ERROR>.

=head2 adopt

    $core->adopt(socket => $socket, outer => $other, path => $path, early => $bytes, tls => \@facts);

Serves a connection that somebody else accepted, on a duplicate of C<socket>'s descriptor.
C<on_stopped> is called at its end. The scope tells the addresses of C<outer> (default: of C<socket>),
or, where C<path> is defined, those of a connection to that Unix socket. C<early> is what has been
read of it already. C<tls> is there for a connection over TLS: what is known of it, as
L<PAGI::Server::Connection::TLS/facts> tells it. Dies with C<Cannot serve the connection: ERROR>.

=head2 bell

The descriptor that becomes readable when there is news for L</drain>.

=head2 drain

Takes the news: calls the application for new requests and resolves Futures.

=head2 configure

    $core->configure(\%settings);

Replaces the core's options for connections accepted from now on.

=head2 reconfigure

    $core->reconfigure({ app => $app, extensions => {}, access_log => $fh, log_format => 'clf' });

Replaces those, and C<fullflush> and C<validate_events>, for requests that begin from now on; what is
not given is off.

=head2 pause

    $core->pause(100);

Accepts nothing for so many milliseconds (one connection per listener may slip in).

=head2 stop

Begins the graceful shutdown; C<on_stopped> is called when no connection is left.

=head2 abort

Ends all connections at once.

=head2 connection_count

The number of connections.

=head2 running

The number of calls of the application that have not ended.

=head2 is_foreign

True in a process forked after the core was started: there the handle does nothing.

=cut
