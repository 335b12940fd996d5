package PAGI::Server::Runner::RunnerFlags;
use strict;
use warnings;

use parent 'PAGI::Server::Runner::Flags';

our $VERSION = '0.003000';

my @ROWS = (
    {
        option => 'app_spec', flags => ['app', 'a'], type => 'str', value => 'APP',
        doc    => 'The application; the same as the first argument.',
    },
    {
        option => 'eval', flags => ['e'], type => 'str', value => 'CODE',
        doc    => 'Perl code that returns the application.',
    },
    {
        option => 'modules', flags => ['M'], type => 'list', value => 'MODULE[=A,B]',
        doc    => 'Load a module first, and import A and B. May be repeated.',
    },
    {
        option => 'libs', flags => ['lib', 'I'], type => 'list', value => 'DIR',
        doc    => 'Look for modules here first. May be repeated.',
    },
    {
        option => 'host', flags => ['host', 'o'], type => 'str', value => 'ADDRESS',
        doc    => 'Address to listen on (127.0.0.1).',
    },
    {
        option => 'port', flags => ['port', 'p'], type => 'int',
        doc    => 'Port to listen on (5000); 0: any free one.',
    },
    {
        option => 'env', flags => ['env', 'E'], type => 'str', value => 'MODE',
        doc    => 'Environment mode, see below.',
    },
    {
        option => 'loop', flags => ['loop', 'l'], type => 'str', value => 'NAME',
        doc    => 'Event loop: Epoll, Poll, Select, EV ... (the best one there is).',
    },
    {
        option => 'access_log', flags => ['access-log'], type => 'str', value => 'FILE',
        doc    => 'Append the access log to a file.',
    },
    {
        option => 'no_access_log', flags => ['no-access-log'], type => 'bool',
        doc    => 'Write no access log.',
    },
    {
        option => 'quiet', flags => ['quiet', 'q'], type => 'bool',
        doc    => 'Say nothing but errors (and the access log).',
    },
    {
        option    => 'default_middleware', flags => ['default-middleware'], type => 'bool',
        negatable => 1,
        doc       => 'Whether the environment mode adds middleware (on).',
    },
    {
        option => 'reload', flags => ['reload'], type => 'bool',
        doc    => 'Start anew when a source file changes. For development.',
    },
    {
        option => 'daemonize', flags => ['daemonize', 'D'], type => 'bool',
        doc    => 'Run in the background.',
    },
    {
        option => 'pid_file', flags => ['pid'], type => 'str', value => 'FILE',
        doc    => 'Write the process number to a file.',
    },
    {
        option => 'user', flags => ['user'], type => 'str', value => 'NAME',
        doc    => 'Become this user. Needs root.',
    },
    {
        option => 'group', flags => ['group'], type => 'str', value => 'NAME',
        doc    => "Become this group (the user's). Needs root.",
    },
    {
        option => 'server', flags => ['server', 's'], type => 'str', value => 'CLASS',
        doc    => 'The server to run (PAGI::Server).',
    },
    {
        option => 'show_version', flags => ['version', 'v'], type => 'bool',
        doc    => 'Print the versions and exit.',
    },
    {
        option => 'show_help', flags => ['help', 'h'], type => 'bool',
        doc    => 'Print this and exit.',
    },
);

sub new {
    my ($class) = @_;

    return $class->SUPER::new(@ROWS);
}

1;

=encoding utf8

=head1 NAME

PAGI::Server::Runner::RunnerFlags - the command line flags for any server

=head1 SYNOPSIS

    my ($values, @rest) = PAGI::Server::Runner::RunnerFlags->new->parse(@argv);

=head1 DESCRIPTION

The flags that L<PAGI::Server::Runner> takes whatever server it runs, as a
L<PAGI::Server::Runner::Flags>. The values have the names of the runner's attributes. What the flags
mean is told in L<pagi-server>.

=head1 METHODS

All of L<PAGI::Server::Runner::Flags>, and

=head2 new

    my $flags = PAGI::Server::Runner::RunnerFlags->new;

Takes no arguments.

=head1 SEE ALSO

L<PAGI::Server::Runner::ServerFlags>

=cut
