/* The C ABI of the core (rust/src/ffi). t/dist/header.t holds the two together. */
#ifndef PAGI_CORE_H
#define PAGI_CORE_H

#include <stddef.h>
#include <stdint.h>

#define PAGI_MAX_FIELDS 8

typedef struct pagi_server pagi_server;
typedef struct pagi_stream pagi_stream;
typedef struct pagi_delivery pagi_delivery;
typedef struct pagi_request_head pagi_request_head;
typedef struct pagi_session pagi_session;

/* Bytes that the other side keeps alive for the time of the call. */
typedef struct { const char *ptr; size_t len; } pagi_text;

/* Bytes that change hands; pagi_owned_free ends them. */
typedef struct { char *ptr; size_t len; } pagi_owned;

enum pagi_tag {
    PAGI_ABSENT = 0, PAGI_INT = 1, PAGI_BYTES = 2, PAGI_PAIRS = 3, PAGI_FILE = 4,
    PAGI_WIDE = 5, PAGI_WRONG = 6, PAGI_TEXT = 7, PAGI_NUMBER = 8
};

typedef struct { pagi_text name; pagi_text value; uint8_t fault; } pagi_pair;

/* num: the number, the descriptor, or for a received text whether it has more than ASCII. */
typedef struct {
    uint8_t tag;
    int64_t num;
    double real;
    pagi_text text;             /* for PAGI_PAIRS, len is their number */
    const pagi_pair *pairs;
} pagi_value;

enum pagi_field_kind {
    PAGI_FIELD_INT = 1, PAGI_FIELD_BYTES = 2, PAGI_FIELD_FLAG = 3, PAGI_FIELD_PAIRS = 4,
    PAGI_FIELD_PATH = 5, PAGI_FIELD_HANDLE = 6, PAGI_FIELD_TEXT = 7, PAGI_FIELD_NUMBER = 8
};

enum pagi_scope_kind {
    PAGI_SCOPE_BYTES = 1, PAGI_SCOPE_TEXT = 2, PAGI_SCOPE_PAIRS = 3, PAGI_SCOPE_ADDRESS = 4,
    PAGI_SCOPE_VERSIONS = 5, PAGI_SCOPE_STATE = 6, PAGI_SCOPE_EXTENSIONS = 7,
    PAGI_SCOPE_CONNECTION = 8, PAGI_SCOPE_TRANSPORT = 9, PAGI_SCOPE_WORDS = 10,
    PAGI_SCOPE_MAYBE = 11, PAGI_SCOPE_NUMBER = 12, PAGI_SCOPE_CERTIFICATES = 13
};

typedef struct { pagi_text name; uint8_t kind; } pagi_field_row;

typedef struct {
    pagi_text name;
    uint8_t is_sent;
    uint8_t count;
    pagi_field_row fields[PAGI_MAX_FIELDS];
} pagi_event_row_t;

typedef struct {
    pagi_text name, kind, choices, def;
    double min, max;
    pagi_text side, flags, doc;
} pagi_option_row_t;

typedef struct { pagi_text name; double value; } pagi_setting;

/* Descriptors; a null path for none; tls is zero for a connection in the clear. */
typedef struct {
    int32_t socket;
    int32_t outer;
    pagi_text path;
    pagi_text early;
    pagi_value tls;
} pagi_adopted;

enum pagi_arrival_kind {
    PAGI_NONE = 0, PAGI_OPENED = 1, PAGI_NEWS = 2, PAGI_ACCESS = 3, PAGI_LOG = 4, PAGI_STOPPED = 5,
    PAGI_WARNING = 6
};

typedef struct {
    uint8_t kind;
    pagi_text level;
    pagi_stream *stream;
    pagi_owned text;
} pagi_arrival;

enum pagi_news { PAGI_READABLE = 1, PAGI_DRAINED = 2, PAGI_GONE = 4, PAGI_ANSWERED = 8 };

/* A scope value; num: is it characters (text), or the port (address), the number, or how many there
 * are (certificates); -1 for none. Of extensions it numbers the connections over TLS, 0 for others.
 * Words are separated by commas. */
typedef struct { pagi_text text; int64_t num; } pagi_scope_value;

typedef struct {
    size_t row;
    pagi_value values[PAGI_MAX_FIELDS];
    pagi_delivery *keep;
} pagi_event;

/* What pagi_stream_receive returns, as bits. */
enum pagi_got { PAGI_GOT = 1, PAGI_WAKE = 2 };

enum pagi_did {
    PAGI_REFUSED = 1, PAGI_STARTED = 2, PAGI_COMPLETED = 4, PAGI_PARKED = 8, PAGI_EXCESS = 16,
    PAGI_HIGH = 32, PAGI_FULL = 64, PAGI_BODY = 128, PAGI_FLUSHED = 256,
    PAGI_NOT_ENABLED = 512
};

/* How a call of the application ended (scope::Ended). */
enum pagi_ended {
    PAGI_COMPLETE = 1, PAGI_NO_RESPONSE = 2, PAGI_UNFINISHED = 3, PAGI_FAILED_BEFORE_START = 4,
    PAGI_FAILED_AFTER_START = 5, PAGI_FAILED_AFTER_END = 6, PAGI_CLIENT_GONE = 7
};

/* What the codec found: nothing yet (used is 0), a refusal (status is not 0), or a head to free. */
typedef struct {
    uint16_t status;
    pagi_text message;
    size_t used;
    pagi_text method, path, raw_path, query, version;
    uint8_t is_text;
    int64_t length;             /* -1 for none */
    uint8_t is_chunked, awaits_continue;
    pagi_request_head *keep;
} pagi_head;

typedef struct {
    uint16_t status;
    pagi_text message;
    size_t used;
    uint8_t is_last;
    pagi_owned data;
} pagi_chunks;

enum pagi_report_kind {
    PAGI_NOTHING = 0, PAGI_REQUEST = 1, PAGI_PIECE = 2, PAGI_CLOSED = 3
};

/* What happened in an HTTP/2 session. flag: a body follows, or has ended. */
typedef struct {
    uint8_t kind, flag;
    uint32_t id, code;
    pagi_text data;
} pagi_report;

enum pagi_outcome {
    PAGI_DONE = 0, PAGI_NO_STREAM = 1, PAGI_NOT_BEGUN = 2, PAGI_BEGUN = 3, PAGI_ENDED = 4,
    PAGI_INVALID = 5
};

/* A finished request, for a line of the access log. A text without a pointer is not known; the
 * time counts where there is no stamp. */
typedef struct {
    pagi_text client, stamp, method, path, query, version;
    double time, duration;
    uint16_t status;
    size_t size;
    pagi_value headers;
} pagi_log_info;

void pagi_owned_free(pagi_owned owned);

uint8_t pagi_event_row(size_t index, pagi_event_row_t *out);
pagi_text pagi_scope_name(size_t kind);
uint8_t pagi_scope_row(size_t kind, size_t index, pagi_field_row *out);
pagi_text pagi_tls_name(void);
uint8_t pagi_tls_row(size_t index, pagi_field_row *out);
uint8_t pagi_option_row(size_t index, pagi_option_row_t *out);

pagi_server *pagi_server_start(const pagi_setting *settings, size_t count, pagi_text format,
                               uint8_t may_fullflush, pagi_owned *error);
void pagi_server_free(pagi_server *server);
pagi_owned pagi_tls_check(const pagi_value *settings);
pagi_owned pagi_tls_hold(const pagi_value *settings);
pagi_owned pagi_server_secure(pagi_server *server, const pagi_value *settings);
pagi_owned pagi_server_reload_tls(pagi_server *server);
uint8_t pagi_server_listen(pagi_server *server, int32_t fd, pagi_text path, pagi_owned *error);
uint8_t pagi_server_adopt(pagi_server *server, const pagi_adopted *raw, pagi_owned *error);
pagi_owned pagi_server_reconfigure(pagi_server *server, pagi_text format, uint8_t may_fullflush);
void pagi_server_configure(pagi_server *server, const pagi_setting *settings, size_t count);
int32_t pagi_server_bell(pagi_server *server);
void pagi_server_pause(pagi_server *server, size_t milliseconds);
void pagi_server_stop(pagi_server *server);
void pagi_server_abort(pagi_server *server);
size_t pagi_server_count(pagi_server *server);
void pagi_server_wake(pagi_server *server);
uint8_t pagi_server_sleep(pagi_server *server);
void pagi_server_defer(pagi_server *server);
uint8_t pagi_server_next(pagi_server *server, pagi_arrival *out);
pagi_owned pagi_server_access_line(pagi_server *server, pagi_stream *stream);

pagi_owned pagi_log_check(pagi_text format);
pagi_owned pagi_log_line(pagi_text format, const pagi_log_info *info);

void pagi_stream_free(pagi_stream *stream);
size_t pagi_stream_token(pagi_stream *stream);
void pagi_stream_set_token(pagi_stream *stream, size_t token);
uint8_t pagi_stream_kind(pagi_stream *stream);
size_t pagi_stream_scope(pagi_stream *stream, pagi_scope_value *out, pagi_owned *keep);
uint8_t pagi_stream_tls(pagi_stream *stream, pagi_scope_value *out);
pagi_text pagi_stream_client_cert(pagi_stream *stream, size_t index);
uint8_t pagi_stream_header(pagi_stream *stream, size_t index, pagi_text *name, pagi_text *value);
uint8_t pagi_stream_receive(pagi_stream *stream, pagi_event *out);
void pagi_event_free(pagi_delivery *keep);
uint32_t pagi_stream_send(pagi_stream *stream, ptrdiff_t row, pagi_text given,
                          const pagi_value *values, pagi_owned *error);
uint8_t pagi_stream_counts(pagi_stream *stream);
uint8_t pagi_stream_is_silent(pagi_stream *stream);
void pagi_stream_post(pagi_stream *stream);
uint8_t pagi_stream_returned(pagi_stream *stream, uint8_t ok);
uint8_t pagi_stream_news(pagi_stream *stream);
pagi_text pagi_stream_gone(pagi_stream *stream);
pagi_owned pagi_stream_take_fault(pagi_stream *stream);
uint32_t pagi_stream_id(pagi_stream *stream);
size_t pagi_stream_buffered(pagi_stream *stream);
size_t pagi_stream_high(pagi_stream *stream);
size_t pagi_stream_low(pagi_stream *stream);
void pagi_stream_arm_drain(pagi_stream *stream);
void pagi_stream_watch_drain(pagi_stream *stream);
void pagi_stream_stop_waiting(pagi_stream *stream);

void pagi_codec_head(pagi_text buf, size_t line, size_t head, size_t fields, pagi_head *out);
uint8_t pagi_codec_field(const pagi_request_head *head, size_t index, pagi_text *name,
                         pagi_text *value);
void pagi_codec_free(pagi_request_head *head);
void pagi_codec_chunks(pagi_text buf, size_t max_chunk, pagi_chunks *out);
pagi_owned pagi_codec_start(uint16_t status, const pagi_value *headers, uint8_t is_chunked,
                            uint8_t is_1_0, pagi_owned *error);
pagi_owned pagi_codec_trailers(const pagi_value *headers, pagi_owned *error);
pagi_owned pagi_codec_chunk(pagi_text data, uint8_t more);
pagi_text pagi_codec_last_chunk(void);
pagi_text pagi_codec_continue(void);
pagi_text pagi_codec_preface(void);
pagi_owned pagi_codec_event(ptrdiff_t row, const pagi_value *values, pagi_owned *error);
pagi_owned pagi_codec_date(void);

pagi_session *pagi_session_new(const pagi_setting *settings, size_t count);
void pagi_session_free(pagi_session *session);
size_t pagi_session_feed(pagi_session *session, pagi_text bytes);
void pagi_session_next(pagi_session *session, pagi_report *out);
uint8_t pagi_session_field(pagi_session *session, size_t index, pagi_text *name,
                           pagi_text *value);
uint8_t pagi_session_respond(pagi_session *session, uint32_t id, uint16_t status,
                             const pagi_value *headers, uint8_t has_body, pagi_owned *error);
uint8_t pagi_session_push(pagi_session *session, uint32_t id, pagi_text bytes, uint8_t is_last);
uint8_t pagi_session_trailers(pagi_session *session, uint32_t id, const pagi_value *headers,
                              pagi_owned *error);
uint8_t pagi_session_source(pagi_session *session, uint32_t id, uint8_t is_asked);
uint32_t pagi_session_ask(pagi_session *session, size_t *most);
uint8_t pagi_session_reset(pagi_session *session, uint32_t id, uint32_t code);
void pagi_session_terminate(pagi_session *session, uint32_t code);
pagi_owned pagi_session_take(pagi_session *session);
uint8_t pagi_session_wants_read(pagi_session *session);
uint8_t pagi_session_wants_write(pagi_session *session);

#endif
