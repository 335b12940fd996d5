use strict;
use warnings;

# hello.psgi for a server that closes every connection without saying so (Feersum 1.41): the
# client would take each close for an error.
sub {
    return [
        200,
        ['content-type', 'text/plain', 'content-length', '13', 'connection', 'close'],
        ['Hello, World!'],
    ];
};
