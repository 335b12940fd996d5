package PAGI::Server::Runner::Help;
use strict;
use warnings;

use File::Basename qw(basename);

use PAGI::Server::Runner::RunnerFlags;

our $VERSION = '0.003000';

sub _show_version {
    my ($self) = @_;

    my $class    = $self->{server} || 'PAGI::Server';
    my @versions = map { $self->_version_of($_) } 'PAGI', $class;
    printf "%s (PAGI %s, %s %s)\n", basename($0), $versions[0], $class, $versions[1];
    return;
}

sub _show_help {
    my ($self) = @_;

    my $server_flags = eval {
        require PAGI::Server::Runner::ServerFlags;
        PAGI::Server::Runner::ServerFlags->new->help;
    } // "  (not available: $@)";
    print <<"HELP";
Usage: pagi-server [options] [app] [key=value ...]

An application is
  ./app.pl                      a file that returns a code reference
  My::App key=value ...         a module; the arguments go to its constructor
  -e CODE                       code that returns a code reference
  nothing                       @{[ $self->DEFAULT_APP ]} (PAGI-Tools): the current directory

Options:
@{[ PAGI::Server::Runner::RunnerFlags->new->help ]}
Options of PAGI::Server:
@{[ $server_flags ]}  --future-xs                   Require Future::XS.

Environment modes (-E, or PAGI_ENV, or development on a terminal):
  development                   Lint middleware, events are validated
  production                    no access log unless --access-log
  none, or any other word       neither

See "perldoc pagi-server" for more.
HELP
    return;
}

sub _version_of {
    my ($self, $module) = @_;

    return eval { $self->_require($module); $module->VERSION } // 'unknown';
}

1;

__END__

=encoding utf8

=head1 NAME

PAGI::Server::Runner::Help - what the command prints about itself

=head1 DESCRIPTION

A base class of L<PAGI::Server::Runner>, for C<--help> and C<--version>. It has no state of its own and
no public methods.

=cut
