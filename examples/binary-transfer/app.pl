use strict;
use warnings;

use Digest::SHA;
use File::Basename qw(dirname);
use File::Temp;
use Future::AsyncAwait;
use JSON::PP ();

# A file up and down a WebSocket in binary messages, neither side ahead of the other.
# Served by: pagi-server examples/binary-transfer/app.pl

my $PAGE = dirname(__FILE__) . '/page.html';
my $JSON = JSON::PP->new->canonical;

use constant {
    WINDOW => 1024 * 1024,          # bytes that a client may send before the next receipt
    PIECE  => 48 * 1024,            # of a download; max_ws_frame_size bounds those of an upload
    MOST   => 1024 * 1024 * 1024,
};

my $app = async sub {
    my ($scope, $receive, $send) = @_;

    return await transfer($scope, $receive, $send) if $scope->{type} eq 'websocket';
    return await page($scope, $send)               if $scope->{type} eq 'http';
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

# One file at a time: {"type":"put","size":N} and N bytes, then {"type":"get"} to have it back.
async sub transfer {
    my ($scope, $receive, $send) = @_;

    await $receive->();
    await $send->({ type => 'websocket.accept' });
    my $file;
    while (1) {
        my $event = await $receive->();
        return if $event->{type} eq 'websocket.disconnect';

        my $order = eval { $JSON->decode($event->{text} // '') };
        my $type  = ref $order eq 'HASH' ? $order->{type} // '' : '';
        if ($type eq 'put' && ($order->{size} // '') =~ /\A[0-9]{1,12}\z/ && $order->{size} <= MOST)
        {
            $file = await take($order->{size}, $receive, $send) or return;
        }
        elsif ($type eq 'get' && $file) {
            await give($file, $send);
        }
        else {
            return await $send->({ type => 'websocket.close', code => 1003, reason => 'what?' });
        }
    }
}

# Flow control of the application's own, on top of the connection's: the client waits for receipts.
# It can show progress by what has arrived, not by what lies in buffers.
async sub take {
    my ($size, $receive, $send) = @_;

    my ($file, $digest)  = (File::Temp->new, Digest::SHA->new(256));
    my ($got, $receipts) = (0, 0);
    await inform($send, { type => 'go', window => WINDOW });
    while ($got < $size) {
        my $event = await $receive->();
        return undef if !defined $event->{bytes};
        $got += length $event->{bytes};
        print {$file} $event->{bytes} or die "cannot write: $!\n";
        $digest->add($event->{bytes});
        next if $got < $size && $got - $receipts < WINDOW / 4;
        $receipts = $got;
        await inform($send, { type => 'receipt', bytes => $got });
    }
    $file->flush;
    await inform($send, { type => 'done', sha256 => $digest->hexdigest });
    return $file;
}

# The connection's flow control: a $send waits while the client has too much to read.
async sub give {
    my ($file, $send) = @_;

    await inform($send, { type => 'file', size => -s $file->filename });
    open my $in, '<:raw', $file->filename or die "cannot read: $!\n";
    while (read $in, my $piece, PIECE) {
        await $send->({ type => 'websocket.send', bytes => $piece });
    }
    await inform($send, { type => 'end' });
}

async sub inform {
    my ($send, $message) = @_;

    await $send->({ type => 'websocket.send', text => $JSON->encode($message) });
}

$app;
