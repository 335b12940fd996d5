# The Mojolicious application of benches/websocket: an echo.
use Mojolicious::Lite -signatures;

get '/' => { text => 'Hello, World!' };

websocket '/ws' => sub ($c) {
    $c->inactivity_timeout(0);
    $c->on(text   => sub ($c, $message) { $c->send($message) });
    $c->on(binary => sub ($c, $bytes) { $c->send({ binary => $bytes }) });
};

app->start;
