/* What the files of xs/ share. Only they see Perl and the core at once; they decide nothing.
 *
 * The croak rule: every call into the core has returned before anything here may longjmp, and
 * nothing that the core owns is held across a call into Perl without a SAVEDESTRUCTOR_X. */
#ifndef PAGI_GLUE_H
#define PAGI_GLUE_H

#define PERL_NO_GET_CONTEXT
#include "EXTERN.h"
#include "perl.h"
#include "XSUB.h"

#include "pagi_core.h"

#ifndef av_count
#define av_count(av) (av_top_index(av) + 1)
#endif

#define PAGI_MOST_EVENTS 64
#define PAGI_MOST_KEYS 32

/* Connections over TLS whose extension is kept for their next request: making it anew costs 6000
 * instructions. */
#define PAGI_TLS_KEPT 256
#define PAGI_MOST_SCOPES 4

/* One event of the vocabulary, with keys ready for lookup. */
typedef struct {
    SV *name;
    U8 is_sent;
    U8 count;
    struct { SV *key; U32 hash; U8 kind; } fields[PAGI_MAX_FIELDS];
} glue_event;

typedef struct { SV *key; U32 hash; U8 kind; } glue_key;

/* One kind of scope. */
typedef struct {
    SV *name;
    SV *validator;              /* the function for validate_events */
    glue_key keys[PAGI_MOST_KEYS];
    size_t count;
} glue_scope_type;

/* One interpreter's tables: read once, at boot and in CLONE. */
typedef struct {
    glue_event events[PAGI_MOST_EVENTS];
    size_t event_count;
    glue_scope_type scopes[PAGI_MOST_SCOPES];
    glue_scope_type tls;        /* the extension of connections over TLS: its key, its keys */
    HV *rows;                   /* event type => place in events */
    SV *type_key;
    SV *ready_key, *result_key, *failure_key, *started_key, *complete_key;
    SV *version_key, *spec_version_key;
    SV *waiter_key, *awaits_key, *callbacks_key, *revoke_key, *on_cancel_key;
    HV *pending_stash;
    SV *done;                   /* the shared, already-done Future */
    GV *logger;                 /* $PAGI::Server::Log::LOGGER */
    HV *future_stash, *connection_stash, *transport_stash;
    int plain_futures;          /* Future is pure Perl: its objects are hashes */
} my_cxt_t;

struct glue_request;

/* One server, as Perl's side sees it. */
typedef struct glue_core {
    pagi_server *server;
    SV *pattern;                /* of the loop's pending Futures; undef where there is none */
    SV *app, *loop, *access_log, *logger, *on_log, *on_stopped, *on_idle, *on_request, *on_limit;
    HV *state, *extensions;
    struct glue_tls { int64_t number; HV *hash; } *tls;  /* by number; NULL before the first */
    SV *lines;                  /* access log lines not yet printed */
    struct glue_request *running;
    struct glue_request *dirty;
    struct glue_request *kept;
    UV running_count;
    UV request_limit;           /* on_limit is called after so many requests; 0: never */
    UV request_count;
    U32 kept_count;
    U32 refs;
    U32 generation;
    U32 depth;                  /* nested drains */
    U8 validate;
    U8 wants_wake;
} glue_core;

/* One request, as Perl's side sees it. It lives while it runs and while a closure or a
 * pagi.transport of it is held; then it is kept for the next one. */
typedef struct glue_request {
    pagi_stream *stream;        /* NULL while it is kept */
    glue_core *core;
    HV *scope, *connection, *transport;
    CV *receive, *send;
    SV *future;                 /* the application's pending Future */
    AV *receivers, *senders;    /* pending Futures */
    struct glue_request *next, **link;
    struct glue_request *next_dirty;
    U32 refs;
    U8 kind;                    /* a place in scopes */
    U8 is_running;
    U8 is_gone;                 /* it ended abnormally: sends are silent */
    U8 is_dirty;
    U8 wants_drain;
    U8 is_starved;              /* the last look found nothing, and there is no news since */
} glue_request;

/* boot.c */
extern U32 pagi_generation;
my_cxt_t *glue_tables(pTHX);
void glue_boot_tables(pTHX);
void glue_clone_tables(pTHX);

/* value.c */
pagi_text glue_text(pTHX_ SV *sv, int *wide);
pagi_text glue_chars(pTHX_ SV *sv);
SV *glue_string(pTHX_ pagi_text text);
SV *glue_owned(pTHX_ pagi_owned owned);
const char *glue_ended(U8 how);
void glue_put(pTHX_ HV *hash, const char *name, SV *value);

/* event.c */
#define PAGI_NO_ROW (-1)
#define PAGI_EXOTIC (-2)

/* A filehandle, before Perl has said whether the core can read it; never crosses. */
#define PAGI_HANDLE 255
void glue_pairs(pTHX_ SV *sv, pagi_value *value);
ptrdiff_t glue_decode(pTHX_ HV *event, int is_plain, pagi_text *given, pagi_value *values);
SV *glue_encode(pTHX_ const pagi_event *event);

/* scope.c */
void glue_scope(pTHX_ glue_request *request);
void glue_forget_tls(pTHX_ glue_core *core);

/* handle.c */
void glue_handle_put(pTHX_ SV *sv, MGVTBL *kind, void *what);
void *glue_handle_get(pTHX_ SV *sv, MGVTBL *kind, const char *name);
int glue_handle_dup(pTHX_ MAGIC *mg, CLONE_PARAMS *params);
glue_core *glue_core_of(pTHX_ SV *sv);
SV *glue_core_wrap(pTHX_ glue_core *core);
void glue_core_release(pTHX_ glue_core *core);
int glue_is_foreign(const glue_core *core);
glue_request *glue_request_new(pTHX_ glue_core *core, pagi_stream *stream);
void glue_request_release(pTHX_ glue_request *request);
void glue_request_end(pTHX_ glue_request *request);
glue_request *glue_request_of(pTHX_ SV *sv);
void glue_attach(pTHX_ SV *sv, glue_request *request);
CV *glue_closure(pTHX_ XSUBADDR_t code, glue_request *request);
void glue_mark_dirty(pTHX_ glue_request *request);
void glue_post_dirty(pTHX_ glue_core *core);

/* future.c */
SV *glue_done(pTHX);
SV *glue_done_with(pTHX_ SV *value);
SV *glue_failed(pTHX_ SV *message);
SV *glue_pending(pTHX_ glue_core *core, AV **list);
int glue_is_waiting(pTHX_ SV *future);
SV *glue_receiver(pTHX_ glue_request *request);
SV *glue_next_receiver(pTHX_ AV *receivers);
void glue_forget(pTHX_ AV **list);
void glue_cancelled(pTHX_ SV *future);
int glue_keep_waiter(pTHX_ SV *future, SV *code);
void glue_keep_awaited(pTHX_ SV *future, SV *awaited);
void glue_resolve(pTHX_ SV *future, SV *value);
void glue_reject(pTHX_ SV *future, SV *error);
void glue_release(pTHX_ AV **list);
enum glue_state { GLUE_PENDING, GLUE_DONE, GLUE_OTHER, GLUE_NO_FUTURE };
enum glue_state glue_state_of(pTHX_ SV *future);

/* call.c */
SV *glue_thrown(pTHX);
void glue_call(pTHX_ const char *name, int argc, SV **argv);
void glue_call_sv(pTHX_ SV *code, int argc, SV **argv);
void glue_open(pTHX_ glue_core *core, pagi_stream *stream);
void glue_tell(pTHX_ pagi_stream *stream);
void glue_finish(pTHX_ glue_request *request, int ok, SV *error);
void glue_log_request(pTHX_ glue_request *request);
void glue_tell_transport(pTHX_ glue_request *request, const char *function);

/* batch.c */
void glue_drain(pTHX_ glue_core *core);
void glue_flush(pTHX_ glue_core *core);

/* send.c */
SV *glue_receive(pTHX_ glue_request *request);
XS(glue_xs_receive);
XS(glue_xs_send);
XS(glue_xs_finished);

/* log.c */
void glue_log_to(pTHX_ glue_core *core);
void glue_warn(pTHX_ const char *before, SV *what);
SV *glue_log_line(pTHX_ SV *format, HV *info);

/* core.c */
SV *glue_core_start(pTHX_ HV *args);
SV *glue_core_listen(pTHX_ glue_core *core, int socket, SV *path);
void glue_core_reconfigure(pTHX_ glue_core *core, HV *args);
SV *glue_option(pTHX_ size_t index);
SV *glue_event_row(pTHX_ size_t index);
pagi_setting *glue_settings(pTHX_ HV *options, size_t *count);

/* codec.c */
pagi_text glue_bytes(pTHX_ SV *sv, const char *what);
void glue_headers(pTHX_ SV *sv, pagi_value *value);
SV *glue_request_head(pTHX_ SV *buffer, const UV *limits, size_t *used);
SV *glue_chunks(pTHX_ SV *buffer, UV max_chunk, size_t *used, int *is_last);
SV *glue_response_start(pTHX_ U16 status, SV *headers, int is_chunked, int is_1_0);
SV *glue_trailers(pTHX_ SV *headers);
SV *glue_response_body(pTHX_ SV *chunk, int more, int is_chunked);
SV *glue_event_bytes(pTHX_ HV *event);

/* session.c */
SV *glue_session_new(pTHX_ HV *options);
pagi_session *glue_session_of(pTHX_ SV *sv);
SV *glue_session_next(pTHX_ pagi_session *session);
U8 glue_session_respond(pTHX_ pagi_session *session, U32 id, U16 status, SV *headers,
                        int has_body);
U8 glue_session_trailers(pTHX_ pagi_session *session, U32 id, SV *headers);

#endif
