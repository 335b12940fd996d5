use strict;
use warnings;

use File::Basename qw(dirname);
use Future;
use Future::AsyncAwait;
use JSON::PP ();

# A chat room: many clients in one process. Everything lives in this process's memory.
# Served by: pagi-server examples/chat/app.pl

my $PAGE = dirname(__FILE__) . '/page.html';
my $JSON = JSON::PP->new->canonical;

# A client that is this far behind misses messages instead of holding up the room.
my $MOST_BEHIND = 256 * 1024;

# Messages that newcomers are shown.
my $REMEMBERED = 20;

my (%members, @history);    # members by number: name, send, transport
my $number = 0;

my $app = async sub {
    my ($scope, $receive, $send) = @_;

    return await chat($scope, $receive, $send) if $scope->{type} eq 'websocket';
    return await page($scope, $send)           if $scope->{type} eq 'http';
    die "Unsupported scope type: $scope->{type}\n";
};

async sub page {
    my ($scope, $send) = @_;

    my $found   = $scope->{path} eq '/';
    my $headers = [['content-type', $found ? 'text/html; charset=utf-8' : 'text/plain']];
    await $send->({
        type    => 'http.response.start',
        status  => $found ? 200 : 404,
        headers => $headers,
    });
    my %body = $found ? (file => $PAGE) : (body => "Not here\n");
    await $send->({ type => 'http.response.body', %body });
}

async sub chat {
    my ($scope, $receive, $send) = @_;

    await $receive->();
    my $name = name_in($scope->{query_string});
    return await deny($send, 'Say who you are: /chat?name=...') unless defined $name;
    await $send->({ type => 'websocket.accept' });
    await $send->({ type => 'websocket.keepalive', interval => 25, timeout => 10 });

    my $id = ++$number;
    for my $said (my @before = @history) {
        await $send->({ type => 'websocket.send', text => $said });
    }
    $members{$id} =
        { name => $name, send => $send, transport => $scope->{'pagi.transport'}, missed => 0 };
    tell_all({ type => 'joined', name => $name, members => names() });

    my $ended = await listen_to($id, $receive);
    delete $members{$id};
    tell_all({ type => 'left', name => $name, members => names(), why => $ended->{reason} });
}

# Passes a member's messages on until it goes; the event that it went with.
async sub listen_to {
    my ($id, $receive) = @_;

    while (1) {
        my $event = await $receive->();
        return $event if $event->{type} eq 'websocket.disconnect';
        next unless length($event->{text} // '');
        tell_all({
            type => 'said', name => $members{$id}{name}, text => substr($event->{text}, 0, 2000),
        });
    }
}

# Without awaiting anybody: a send that has to wait is the member's own affair. Who is too far
# behind is skipped, and told so later.
sub tell_all {
    my ($message) = @_;

    my $text = $JSON->encode({ %$message, at => time });
    if ($message->{type} eq 'said') {
        push @history, $text;
        shift @history if @history > $REMEMBERED;
    }
    for my $member (values %members) {
        if ($member->{transport}->buffered_amount > $MOST_BEHIND) {
            $member->{missed}++;
            next;
        }
        if (my $missed = $member->{missed}) {
            $member->{missed} = 0;
            pass_on($member, $JSON->encode({ type => 'missed', count => $missed }));
        }
        pass_on($member, $text);
    }
}

sub pass_on {
    my ($member, $text) = @_;

    $member->{send}->({ type => 'websocket.send', text => $text })->retain;
}

sub names {
    return [sort map { $_->{name} } values %members];
}

sub name_in {
    my ($query) = @_;

    my ($name) = $query =~ /(?:^|&)name=([^&]+)/ or return undef;
    $name =~ tr/+/ /;
    $name =~ s/%([0-9A-Fa-f]{2})/chr hex $1/ge;
    utf8::decode($name);
    $name =~ s/[[:cntrl:]]//g;
    return length $name ? substr($name, 0, 30) : undef;
}

# A response instead of a WebSocket
async sub deny {
    my ($send, $text) = @_;

    await $send->({
        type    => 'websocket.http.response.start',
        status  => 400,
        headers => [['content-type', 'text/plain']],
    });
    await $send->({ type => 'websocket.http.response.body', body => "$text\n" });
}

$app;
