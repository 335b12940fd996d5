# Behind HAProxy: large bodies, slow clients, clients that leave, and each its own answer
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";

use Test::PAGI::Behind;

behind_proxy('haproxy');
