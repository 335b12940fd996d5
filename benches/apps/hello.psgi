use strict;
use warnings;

# The PSGI application that hello.pl is for PAGI.
sub {
    return [
        200,
        ['content-type', 'text/plain', 'content-length', '13'],
        ['Hello, World!'],
    ];
};
