package PAGI::Server::Runner::Loader;
use strict;
use warnings;

# First, so that the code of -e sees none of our lexicals. The imports are repeated for those that
# only have an effect on the code that is being compiled.
our @IMPORTS;

sub _evaluate {
    return scalar eval <<"CODE";
package main;
use strict;
use warnings;
BEGIN { \$_->[0]->import(\@{ \$_->[1] }) for \@PAGI::Server::Runner::Loader::IMPORTS }
# line 1 "-e"
$_[0]
CODE
}

use File::Spec;
use FindBin;
use Scalar::Util qw(blessed);

use PAGI::Server::Options;

our $VERSION = '0.003000';

use constant DEFAULT_APP => 'PAGI::App::Directory';

my $MODULE_NAME = qr/\A[A-Za-z_]\w*(?:::\w+)*\z/;

sub _import_module {
    my ($self, $given) = @_;

    my ($module, $names) = split /=/, $given, 2;
    my @names = split /,/, $names // '';
    my $what  = "Cannot load module $module";
    $self->_require($module, $what);
    eval { package main; $module->import(@names); 1 } or die "$what: " . _line($@);
    push @IMPORTS, [$module, \@names];
}

sub _load_spec {
    my ($self, $spec, %args) = @_;

    return $self->_load_default(%args) unless defined $spec;
    return $self->_load_module($spec, %args) if $self->_is_module_name($spec);
    return $self->_load_file($spec)          if $self->_is_file_path($spec) || -e $spec;
    return $self->_load_module($spec, %args);
}

sub _is_module_name {
    my ($self, $spec) = @_;

    return $spec =~ /::/ ? 1 : 0;
}

sub _is_file_path {
    my ($self, $spec) = @_;

    return $spec =~ m{/|\.(?:pl|psgi)\z}i ? 1 : 0;
}

sub _load_default {
    my ($self, %args) = @_;

    my $app = DEFAULT_APP;
    return $self->_load_module($app, root => '.', %args) if eval { $self->_require($app); 1 };
    die <<"TEXT";
No application given. Give a file, a module or code:

    pagi-server ./app.pl
    pagi-server My::App key=value
    pagi-server -e 'async sub { ... }'

(Without one, $app serves the current directory, but it is not installed.)
TEXT
}

sub _load_code {
    my ($self, $code) = @_;

    my $app = _evaluate($code);
    die 'Error evaluating -e code: ' . _line($@) if $@;
    return _coderef($app) // die '-e code must return a coderef, got ' . _type($app) . "\n";
}

sub _load_module {
    my ($self, $module, %args) = @_;

    $module =~ $MODULE_NAME or die "Invalid module name: $module\n";
    $self->_require($module, "Cannot find module '$module'");
    $module->can('new') && $module->can('to_app')
        or die "Module '$module' does not have new() and to_app() methods\n";

    my $app = $module->new(%args, _caller_file => $INC{ _file_of($module) })->to_app;
    return _coderef($app) // die "Module '$module' to_app() did not return a coderef\n";
}

sub _load_file {
    my ($self, $file) = @_;

    my $path = File::Spec->rel2abs($file);
    -e $path or die "App file not found: $path\n";
    _check_readable($path);

    my ($app, $error) = _do_file($path);
    die "Error loading $path: " . _line($error) if $error;
    return _coderef($app) // die 'App file must return a coderef, got: ' . _type($app) . "\n";
}

# Beforehand, because the $! of a do says nothing about the file it did
sub _check_readable {
    my ($path) = @_;

    open my $fh, '<', $path or die "Error reading $path: $!\n";
    die "Error reading $path: it is a directory\n" if -d $fh;
}

sub _do_file {
    my ($path) = @_;

    local ($0, @ARGV) = ($path);
    FindBin->again;
    local $@;
    my $app = do { package main; do $path };
    return ($app, $@);
}

sub _require {
    my ($self, $module, $what) = @_;

    $what //= "Cannot load $module";
    $module =~ $MODULE_NAME or die "$what: it is not the name of a module\n";
    return if $module->can('new');    # a class need not have a file of its own
    eval { require(_file_of($module)); 1 } or die "$what: " . _line($@);
}

sub _file_of {
    my ($module) = @_;

    return $module =~ s{::}{/}gr . '.pm';
}

# A native code reference, or what a provider makes of itself (PAGI::Spec::Server)
sub _coderef {
    my ($app) = @_;

    my $is_code = PAGI::Server::Options->is_code($app);
    $app = $app->to_app if !$is_code && blessed $app && $app->can('to_app');
    return PAGI::Server::Options->is_code($app) ? $app : undef;
}

sub _type {
    my ($value) = @_;

    return ref $value || 'non-reference';
}

sub _line {
    my ($error) = @_;

    return "$error" =~ s/\n?\z/\n/r;
}

1;

=encoding utf8

=head1 NAME

PAGI::Server::Runner::Loader - from the name of an application to its code reference

=head1 SYNOPSIS

    use parent 'PAGI::Server::Runner::Loader';

    my $app = $self->_load_spec('./app.pl');
    my $app = $self->_load_spec('My::App', root => '/srv');
    my $app = $self->_load_code('sub { ... }');

=head1 DESCRIPTION

The base class of L<PAGI::Server::Runner> that finds, loads and checks applications. It has no state
of its own and no public methods; what it accepts and how it fails is described there, in
L<PAGI::Server::Runner/Finding the application> and L<PAGI::Server::Runner/load_app>.

The imports of C<-M> are made twice: into package C<main>, for application files, and once more
while the code of C<-e> is compiled, so that modules that change the language
(L<Future::AsyncAwait>) change it there.

=head1 SEE ALSO

L<PAGI::Server::Runner>

=cut
