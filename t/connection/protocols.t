# PAGI::Server::Connection: every protocol and scope over every kind of stream (contract 01
# section 3, 05 section 1)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Test2::V0;
use IO::Async::OS;
use IO::Async::Stream;
use IO::Socket::INET;
use PAGI::Server::Connection;
use PAGI::Server::Protocol::HTTP1;
use PAGI::Server::Protocol::HTTP2;
use Test::PAGI::Certificates;
use Test::PAGI::Client;
use Test::PAGI::Client::H2;
use Test::PAGI::Loop     qw(test_loop wait_until);
use Test::PAGI::NeedsTLS ();
use Test::PAGI::Puppet;
use Test::PAGI::WebSocket;

my $has_tls = Test::PAGI::NeedsTLS::is_there() && eval { require IO::Async::SSL; 1 };
require Test::PAGI::Client::TLS if $has_tls;

sub Given::client { return $_[0]{client} }

my $puppet = Test::PAGI::Puppet->new;
my $BODY   = join '', map { chr(ord('a') + $_ % 26) x 1000 } 1 .. 60;    # no more than a window

sub serve {
    my ($stream, %args) = @_;
    my $connection = PAGI::Server::Connection->new(
        stream   => $stream,
        app      => $puppet->app,
        protocol => PAGI::Server::Protocol::HTTP1->new,
        %args,
    )->start;
    test_loop()->add($stream);
    return $connection;
}

sub stream_on {
    my ($handle, %options) = @_;
    return IO::Async::Stream->new(handle => $handle, on_read => sub { 0 }, %options);
}

# Kinds of streams: each takes arguments for the Connection and what its client offers by ALPN, and
# returns both.
my %CARRIER = (
    'a socket' => sub {
        my ($args) = @_;
        my ($served, $peer) = IO::Async::OS->socketpair('unix', 'stream');
        return (serve(stream_on($served), @$args), Test::PAGI::Client->new($peer));
    },
    'a relayed stream' => sub {
        my ($args) = @_;
        my ($served, $peer) = IO::Async::OS->socketpair('unix', 'stream');
        my $stream = stream_on(
            $served,
            reader => sub { $_[1]->sysread($_[2], $_[3]) },
            writer => sub {
                my $sent = $_[1]->syswrite($_[2], $_[3]);
                substr $_[2], 0, $sent, '' if $sent;
                return $sent;
            },
        );
        return (serve($stream, @$args), Test::PAGI::Client->new($peer));
    },
    'a stream of IO::Async::SSL' => sub {
        my ($args, @offered) = @_;
        my ($port, $seen)    = tls_listener($args);
        my $client = Test::PAGI::Client::TLS->connect_tcp(
            port => $port,
            tls  => { SSL_alpn_protocols => \@offered },
        );
        wait_until { $seen->{connection} } 'the handshake';
        return (delete $seen->{connection}, $client);
    },
);

my %LISTENER;

sub tls_listener {
    my ($args) = @_;
    my $seen   = $LISTENER{seen} //= {};
    $seen->{args} = $args;
    return ($LISTENER{port}, $seen) if $LISTENER{port};
    my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 10) // die $@;
    my $pair   = Test::PAGI::Certificates->shared;
    test_loop()->SSL_listen(
        handle             => $socket,
        SSL_cert_file      => $pair->{cert_file},
        SSL_key_file       => $pair->{key_file},
        SSL_alpn_protocols => ['h2', 'http/1.1'],
        on_stream          => sub {
            $seen->{connection} = serve($_[0], tls_enabled => 1, @{ $seen->{args} });
        },
        on_ssl_error => sub { },
    )->get;
    return ($LISTENER{port} = $socket->sockport, $seen);
}

# What a client may find out, what the connection is told, what is spoken then; the last is what the
# client offers by ALPN.
my @WAYS = (
    ['HTTP/1', [], '1.1'],
    ['HTTP/1, where h2 might be', [h2c_enabled => 1], '1.1'],
    ['prior knowledge', [h2c_enabled => 1], '2'],
    ['alpn_protocol => h2', [alpn_protocol => 'h2'], '2'],
    [
        'alpn_protocol and h2_protocol',
        [
            alpn_protocol => 'h2',
            h2_protocol   => PAGI::Server::Protocol::HTTP2->new(max_concurrent_streams => 7)
        ],
        '2'
    ],
    ['ALPN says http/1.1', [], '1.1', 'http/1.1'],
    ['ALPN says h2', [], '2', 'h2', 'http/1.1'],
    ['ALPN says nothing', [], '1.1', 'other'],
    ['the argument counts, not ALPN', [alpn_protocol => ''], '1.1', 'h2'],
);

sub is_spoken {
    my ($carrier, $way) = @_;
    my ($name, $args, $version, @offered) = @$way;
    return $carrier =~ /SSL/ if @offered;
    return $carrier !~ /SSL/ || $has_tls;
}

# ---- one client for both protocols ----

sub h1 {
    my ($client) = @_;
    my $body = sub {
        $client->write("POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n$BODY");
        return sub { $client->read_response->body };
    };
    my $events = sub {
        $client->write("GET /sse HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n");
        return sub { $client->read_until($_[0]) };
    };
    my $socket = sub {
        my $ws = Test::PAGI::WebSocket->open(bless { client => $client }, 'Given');
        return (sub { $ws->accepted }, sub { $ws->text($_[0]) }, sub { $ws->message });
    };
    return { body => $body, events => $events, socket => $socket };
}

sub h2 {
    my ($client, $is_secure) = @_;
    my $h2   = Test::PAGI::Client::H2->new($client, scheme => $is_secure ? 'https' : 'http');
    my $body = sub {
        my $id     = $h2->open(POST => '/body', more => 1);
        my @pieces = unpack '(a16384)*', $BODY;
        $h2->frame(DATA => $id, $pieces[$_], END_STREAM => $_ == $#pieces) for 0 .. $#pieces;
        return sub { $h2->response($id)->body };
    };
    my $events = sub {
        my $id = $h2->open(GET => '/sse', headers => [['accept', 'text/event-stream']]);
        return sub {
            my $what = $_[0];
            $h2->wait_for('events', sub { $h2->partial($id)->body =~ $what });
            return 1;
        };
    };
    my $socket = sub {
        my $id = $h2->{next};
        $h2->{next} += 2;
        $h2->{streams}{$id} = Test::PAGI::Client::H2::Response->new(method => 'CONNECT');
        my $block = $h2->block(
            [':method', 'CONNECT'], [':protocol', 'websocket'], [':scheme', $h2->{scheme}],
            [':path', '/ws'], [':authority', 'x'], ['sec-websocket-version', 13],
        );
        $h2->frame(HEADERS => $id, $block, END_HEADERS => 1);
        my $text = sub { pack('C2', 0x81, length $_[0]) . $_[0] };
        return (
            sub {
                $h2->wait_for('the answer', sub { defined $h2->partial($id)->status });
            },
            sub {
                my $frame = pack('C2', 0x81, 0x80 | length $_[0]) . "\0\0\0\0$_[0]";
                $h2->frame(DATA => $id, $frame);
            },
            sub {
                $h2->wait_for('a message', sub { length $h2->partial($id)->body >= 7 });
                return substr $h2->partial($id)->body, 2, 5;
            },
        );
    };
    return { body => $body, events => $events, socket => $socket, h2 => $h2 };
}

sub converse {
    my ($how, $version, $is_secure) = @_;

    subtest 'a body, both ways' => sub {
        my $answer = $how->{body}->();
        my ($call, $got) = ($puppet->next_call, '');
        is $call->scope->{http_version}, $version, 'http_version';
        is $call->scope->{scheme}, $is_secure ? 'https' : 'http', 'scheme';
        while (my $event = $call->event) {
            $got .= $event->{body};
            last unless $event->{more};
        }
        ok $got eq $BODY, 'comes';
        $call->reply($got x 4);
        ok $answer->() eq $BODY x 4, 'and goes';
    };

    subtest 'an event stream' => sub {
        my $heard = $how->{events}->();
        my $call  = $puppet->next_call;
        is $call->scope->{type}, 'sse', 'type';
        is $call->scope->{http_version}, $version, 'http_version';
        $call->send(type => 'sse.start');
        $call->send(type => 'sse.send', data => "event $_") for 1, 2;
        ok $heard->(qr/data: event 2\n\n/), 'events';
        $call->finish;
        }
        if $how->{does_sse};

    subtest 'a WebSocket' => sub {
        my ($accepted, $say, $hear) = $how->{socket}->();
        my $call = $puppet->next_call;
        is $call->scope->{type}, 'websocket', 'type';
        is $call->scope->{scheme}, $is_secure ? 'wss' : 'ws', 'scheme';
        is $call->event->{type}, 'websocket.connect', 'connect';
        $call->send(type => 'websocket.accept');
        $accepted->();
        $say->('hello');
        is $call->event->{text}, 'hello', 'a message comes';
        $call->send(type => 'websocket.send', text => 'there');
        is $hear->(), 'there', 'and one goes';
        $call->finish;
        }
        if $how->{does_ws};
    return;
}

for my $carrier (sort keys %CARRIER) {
    for my $way (grep { is_spoken($carrier, $_) } @WAYS) {
        my ($name, $args, $version, @offered) = @$way;
        my $is_secure = $carrier =~ /SSL/;
        subtest "$carrier: $name" => sub {
            for my $scope ($version eq '2' ? 'both' : ('sse', 'ws')) {
                my ($connection, $client) = $CARRIER{$carrier}->($args, @offered);
                is $connection->{is_h2}, $version eq '2' && "@$args" !~ /h2c/ ? 1 : 0, 'is_h2';
                my $how = $version eq '2' ? h2($client, $is_secure) : h1($client);
                $how->{"does_$_"} = 1 for $scope eq 'both' ? qw(sse ws) : $scope;
                converse($how, $version, $is_secure);
                check_settings($how->{h2}) if $name =~ /h2_protocol/;
                ($how->{h2} // $client)->close;
                wait_until { $connection->{closed} } 'the end';
            }
        };
    }
}

sub check_settings {
    my ($h2)    = @_;
    my ($first) = grep { $_->{kind} eq 'SETTINGS' } $h2->frames;
    my %setting = unpack '(nN)*', $first->{payload};
    is $setting{3}, 7, 'the settings of h2_protocol are what the client is told';
}

done_testing;
