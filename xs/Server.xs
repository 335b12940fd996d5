#include "glue.h"

#include <fcntl.h>

/* A field of a Future's hash; a Future that is not plain never gets here. */
static SV *future_field(pTHX_ SV *future, SV *key) {
    HE *entry = hv_fetch_ent((HV *)SvRV(future), key, 0, SvSHARED_HASH(key));
    return entry ? HeVAL(entry) : NULL;
}

MODULE = PAGI::Server  PACKAGE = PAGI::Server::Core

BOOT:
    glue_boot_tables(aTHX);

void
_clone_tables()
  CODE:
    glue_clone_tables(aTHX);

void
option_rows()
  PPCODE:
  {
    size_t at;
    SV *row;
    for (at = 0; (row = glue_option(aTHX_ at)); at++) mXPUSHs(row);
  }

void
event_rows()
  PPCODE:
  {
    size_t at;
    SV *row;
    for (at = 0; (row = glue_event_row(aTHX_ at)); at++) mXPUSHs(row);
  }

void
_set_done(SV *future, int plain)
  CODE:
  {
    my_cxt_t *cxt = glue_tables(aTHX);
    SvREFCNT_dec(cxt->done);
    cxt->done = newSVsv(future);
    cxt->plain_futures = plain;
  }

void
check_log_format(SV *class, SV *format)
  CODE:
  {
    PERL_UNUSED_VAR(class);
    pagi_text text;
    pagi_owned error;
    STRLEN len;
    text.ptr = SvPVutf8(format, len);
    text.len = len;
    error = pagi_log_check(text);
    if (error.ptr) croak_sv(sv_2mortal(glue_owned(aTHX_ error)));
  }

void
_check_tls(SV *settings, bool is_to_hold)
  PPCODE:
  {
    pagi_value value;
    pagi_owned error;
    glue_pairs(aTHX_ settings, &value);
    error = is_to_hold ? pagi_tls_hold(&value) : pagi_tls_check(&value);
    if (error.ptr) mXPUSHs(glue_owned(aTHX_ error));
  }

void
_secure(SV *self, SV *settings)
  PPCODE:
  {
    glue_core *core = glue_core_of(aTHX_ self);
    pagi_value value;
    pagi_owned error;
    glue_pairs(aTHX_ settings, &value);
    error = pagi_server_secure(core->server, &value);
    if (error.ptr) mXPUSHs(glue_owned(aTHX_ error));
  }

void
_reload_tls(SV *self)
  PPCODE:
  {
    glue_core *core = glue_core_of(aTHX_ self);
    pagi_owned error = { NULL, 0 };
    if (!glue_is_foreign(core)) error = pagi_server_reload_tls(core->server);
    if (error.ptr) mXPUSHs(glue_owned(aTHX_ error));
  }

SV *
log_line(SV *class, SV *format, HV *info)
  CODE:
    PERL_UNUSED_VAR(class);
    RETVAL = glue_log_line(aTHX_ format, info);
  OUTPUT:
    RETVAL

SV *
_start(HV *args)
  CODE:
    RETVAL = glue_core_start(aTHX_ args);
  OUTPUT:
    RETVAL

void
_listen(SV *self, int socket, SV *path)
  PPCODE:
  {
    SV *error = glue_core_listen(aTHX_ glue_core_of(aTHX_ self), socket, path);
    if (error) mXPUSHs(error);
  }

void
_adopt(SV *self, int socket, int outer, SV *path, SV *early, SV *tls)
  PPCODE:
  {
    glue_core *core = glue_core_of(aTHX_ self);
    pagi_adopted adopted;
    pagi_owned error = { NULL, 0 };
    STRLEN len;
    if (glue_is_foreign(core)) croak("this process did not start the core");
    Zero(&adopted, 1, pagi_adopted);
    adopted.outer = outer;
    adopted.early.ptr = SvPVbyte(early, len);
    adopted.early.len = len;
    if (SvOK(path)) {
        adopted.path.ptr = SvPVutf8(path, len);
        adopted.path.len = len;
    }
    if (SvOK(tls)) glue_pairs(aTHX_ tls, &adopted.tls);
    adopted.socket = fcntl(socket, F_DUPFD_CLOEXEC, 0);
    if (adopted.socket < 0) {
        mXPUSHp(Strerror(errno), strlen(Strerror(errno)));
    }
    else if (!pagi_server_adopt(core->server, &adopted, &error)) {
        mXPUSHs(glue_owned(aTHX_ error));
    }
  }

int
bell(SV *self)
  CODE:
    RETVAL = pagi_server_bell(glue_core_of(aTHX_ self)->server);
  OUTPUT:
    RETVAL

void
drain(SV *self)
  CODE:
    glue_drain(aTHX_ glue_core_of(aTHX_ self));

void
configure(SV *self, HV *options)
  CODE:
  {
    glue_core *core = glue_core_of(aTHX_ self);
    size_t count;
    pagi_setting *settings = glue_settings(aTHX_ options, &count);
    if (!glue_is_foreign(core)) pagi_server_configure(core->server, settings, count);
  }

void
reconfigure(SV *self, HV *args)
  CODE:
  {
    glue_core *core = glue_core_of(aTHX_ self);
    if (!glue_is_foreign(core)) glue_core_reconfigure(aTHX_ core, args);
  }

void
pause(SV *self, UV milliseconds)
  CODE:
  {
    glue_core *core = glue_core_of(aTHX_ self);
    if (!glue_is_foreign(core)) pagi_server_pause(core->server, milliseconds);
  }

void
stop(SV *self)
  ALIAS:
    abort = 1
  CODE:
  {
    glue_core *core = glue_core_of(aTHX_ self);
    if (!glue_is_foreign(core)) (ix ? pagi_server_abort : pagi_server_stop)(core->server);
  }

UV
connection_count(SV *self)
  CODE:
  {
    glue_core *core = glue_core_of(aTHX_ self);
    RETVAL = glue_is_foreign(core) ? 0 : pagi_server_count(core->server);
  }
  OUTPUT:
    RETVAL

UV
running(SV *self)
  CODE:
    RETVAL = glue_core_of(aTHX_ self)->running_count;
  OUTPUT:
    RETVAL

bool
is_foreign(SV *self)
  CODE:
    RETVAL = glue_is_foreign(glue_core_of(aTHX_ self));
  OUTPUT:
    RETVAL

void
buffered_amount(SV *object)
  ALIAS:
    high_water_mark = 1
    low_water_mark = 2
    watch_drain = 3
  PPCODE:
  {
    glue_request *request = SvROK(object) ? glue_request_of(aTHX_ SvRV(object)) : NULL;
    UV amount = 0;
    if (!request || glue_is_foreign(request->core)) {
        if (ix == 1 || ix == 2) XSRETURN_UNDEF;
        XSRETURN_IV(0);
    }
    switch (ix) {
    case 1: amount = pagi_stream_high(request->stream); break;
    case 2: amount = pagi_stream_low(request->stream); break;
    case 3: pagi_stream_watch_drain(request->stream); break;
    default: amount = pagi_stream_buffered(request->stream);
    }
    mXPUSHu(amount);
  }

MODULE = PAGI::Server  PACKAGE = PAGI::Server::Future

SV *
_is_ready(SV *self)
  CODE:
  {
    my_cxt_t *cxt = glue_tables(aTHX);
    SV *ready = future_field(aTHX_ self, cxt->ready_key);
    RETVAL = SvREFCNT_inc(ready ? ready : &PL_sv_no);
  }
  OUTPUT:
    RETVAL

MODULE = PAGI::Server  PACKAGE = PAGI::Server::Pending

void
_await_on_ready(SV *self, SV *code)
  PPCODE:
    if (!glue_keep_waiter(aTHX_ self, code)) {
        PUSHMARK(SP);
        EXTEND(SP, 2);
        PUSHs(self);
        PUSHs(code);
        PUTBACK;
        call_method("on_ready", G_VOID | G_DISCARD);
        SPAGAIN;
    }

void
_cancelled(SV *self)
  CODE:
    if (SvROK(self)) glue_cancelled(aTHX_ self);

void
_await_chain_cancel(SV *self, SV *awaited)
  CODE:
    glue_keep_awaited(aTHX_ self, awaited);

MODULE = PAGI::Server  PACKAGE = PAGI::Server::Future

void
_is_cancelled(SV *self)
  PPCODE:
  {
    SV **cancelled = hv_fetchs((HV *)SvRV(self), "cancelled", 0);
    XPUSHs(cancelled ? *cancelled : &PL_sv_no);
  }

void
_get(SV *self)
  PPCODE:
  {
    my_cxt_t *cxt = glue_tables(aTHX);
    SV *result = future_field(aTHX_ self, cxt->result_key);
    SV *failure = future_field(aTHX_ self, cxt->failure_key);
    if (result && SvROK(result) && !(failure && SvOK(failure))) {
        AV *values = (AV *)SvRV(result);
        SSize_t at, count = av_count(values);
        EXTEND(SP, count + 1);
        if (GIMME_V == G_LIST) {
            for (at = 0; at < count; at++) PUSHs(AvARRAY(values)[at]);
        }
        else {
            PUSHs(count ? AvARRAY(values)[0] : &PL_sv_undef);
        }
    }
    else {
        PUSHMARK(SP);
        XPUSHs(self);
        PUTBACK;
        call_method("result", GIMME_V);
        SPAGAIN;
    }
  }

MODULE = PAGI::Server  PACKAGE = PAGI::Server::Core

void
codec_head(SV *buffer, UV line, UV head, UV fields)
  PPCODE:
  {
    const UV limits[3] = { line, head, fields };
    size_t used;
    SV *request = sv_2mortal(glue_request_head(aTHX_ buffer, limits, &used));
    SPAGAIN;
    SP -= items;
    EXTEND(SP, 2);
    PUSHs(request);
    mPUSHu(used);
  }

void
codec_chunks(SV *buffer, UV max_chunk)
  PPCODE:
  {
    size_t used;
    int is_last;
    SV *data = sv_2mortal(glue_chunks(aTHX_ buffer, max_chunk, &used, &is_last));
    SPAGAIN;
    SP -= items;
    EXTEND(SP, 3);
    PUSHs(data);
    mPUSHu(used);
    mPUSHi(is_last);
  }

SV *
codec_start(UV status, SV *headers, bool is_chunked, bool is_1_0)
  CODE:
    RETVAL = glue_response_start(aTHX_ (U16)status, headers, is_chunked, is_1_0);
  OUTPUT:
    RETVAL

SV *
codec_trailers(SV *headers)
  CODE:
    RETVAL = glue_trailers(aTHX_ headers);
  OUTPUT:
    RETVAL

SV *
codec_body(SV *chunk, bool more, bool is_chunked)
  CODE:
    RETVAL = glue_response_body(aTHX_ chunk, more, is_chunked);
  OUTPUT:
    RETVAL

SV *
codec_last_chunk()
  ALIAS:
    codec_continue = 1
    codec_preface = 2
  CODE:
    RETVAL = glue_string(aTHX_ ix == 1 ? pagi_codec_continue() : ix == 2 ? pagi_codec_preface()
                               : pagi_codec_last_chunk());
  OUTPUT:
    RETVAL

SV *
codec_event(HV *event)
  CODE:
    RETVAL = glue_event_bytes(aTHX_ event);
  OUTPUT:
    RETVAL

SV *
codec_date()
  CODE:
    RETVAL = glue_owned(aTHX_ pagi_codec_date());
  OUTPUT:
    RETVAL

INCLUDE: session.xs
