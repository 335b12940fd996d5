package Bench::Home;
use strict;
use warnings;

# Where things are: HOME is benches/, TOP the checkout, WORK what git ignores.

use Exporter       qw(import);
use File::Basename qw(dirname);
use File::Path     qw(make_path);
use File::Spec;

our @EXPORT_OK = qw(HOME TOP WORK);

use constant HOME => dirname(dirname(dirname(File::Spec->rel2abs(__FILE__))));
use constant { TOP => dirname(HOME), WORK => HOME . '/.work' };

make_path(WORK . '/logs');

1;
