package Test::PAGI::NeedsTLS;

# Skips a test where what a client over TLS needs is not installed: IO::Socket::SSL and the
# openssl command. script/setup installs them.

use strict;
use warnings;

use Test2::API qw(context);

sub is_there {
    my $has_openssl = grep { -x "$_/openssl" } split /:/, $ENV{PATH};
    return $has_openssl && eval { require IO::Socket::SSL; 1 };
}

sub import {
    return if is_there();
    my $ctx = context();
    $ctx->plan(0, SKIP => 'IO::Socket::SSL or the openssl command is missing');
    $ctx->release;
    exit 0;
}

1;
