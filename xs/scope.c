/* Scope hashes, by the rows of the scope. Every value is a fresh scalar: applications assign
 * to them. Only what TLS adds is shared by the requests of a connection. */
#include "glue.h"

static SV *header_list(pTHX_ pagi_stream *stream, size_t count) {
    AV *list = newAV();
    size_t at;
    if (count) av_extend(list, (SSize_t)count - 1);
    for (at = 0; at < count; at++) {
        pagi_text name, value;
        AV *tuple;
        SV **slots;
        if (!pagi_stream_header(stream, at, &name, &value)) break;
        tuple = newAV();
        av_extend(tuple, 1);
        slots = AvARRAY(tuple);
        slots[0] = glue_string(aTHX_ name);
        slots[1] = glue_string(aTHX_ value);
        AvFILLp(tuple) = 1;
        av_push(list, newRV_noinc((SV *)tuple));
    }
    return newRV_noinc((SV *)list);
}

static SV *address(pTHX_ const pagi_scope_value *value) {
    AV *pair = newAV();
    av_push(pair, glue_string(aTHX_ value->text));
    av_push(pair, value->num < 0 ? newSV(0) : newSViv((IV)value->num));
    return newRV_noinc((SV *)pair);
}

static SV *versions(pTHX_ my_cxt_t *cxt, pagi_text text) {
    HV *hash = newHV();
    (void)hv_store_ent(hash, cxt->version_key, glue_string(aTHX_ text),
                       SvSHARED_HASH(cxt->version_key));
    (void)hv_store_ent(hash, cxt->spec_version_key, glue_string(aTHX_ text),
                       SvSHARED_HASH(cxt->spec_version_key));
    return newRV_noinc((SV *)hash);
}

/* A reference to an object that the request keeps, made where it has none yet. */
static SV *object(pTHX_ HV **kept, HV *stash) {
    if (!*kept) {
        SV *ref;
        *kept = newHV();
        ref = newRV_inc((SV *)*kept);
        return sv_bless(ref, stash);
    }
    return newRV_inc((SV *)*kept);
}

static SV *transport(pTHX_ glue_request *request, HV *stash) {
    int is_new = !request->transport;
    SV *ref = object(aTHX_ &request->transport, stash);
    if (is_new) glue_attach(aTHX_ SvRV(ref), request);
    return ref;
}

static SV *words(pTHX_ pagi_text text) {
    AV *list = newAV();
    const char *at = text.ptr, *end = text.ptr + text.len;
    while (at < end) {
        const char *comma = (const char *)memchr(at, ',', (size_t)(end - at));
        const char *stop = comma ? comma : end;
        av_push(list, newSVpvn(at, (STRLEN)(stop - at)));
        at = stop + 1;
    }
    return newRV_noinc((SV *)list);
}

static SV *certificates(pTHX_ pagi_stream *stream, size_t count) {
    AV *list = newAV();
    size_t at;
    for (at = 0; at < count; at++) {
        av_push(list, glue_string(aTHX_ pagi_stream_client_cert(stream, at)));
    }
    return newRV_noinc((SV *)list);
}

static SV *scope_value(pTHX_ glue_request *request, U8 kind, const pagi_scope_value *value,
                       size_t headers);

static void store_values(pTHX_ glue_request *request, HV *hash, const glue_scope_type *type,
                         const pagi_scope_value *values, size_t headers) {
    size_t at;
    for (at = 0; at < type->count; at++) {
        const glue_key *key = &type->keys[at];
        SV *sv = scope_value(aTHX_ request, key->kind, &values[at], headers);
        if (sv) (void)hv_store_ent(hash, key->key, sv, key->hash);
    }
}

/* The extension of a connection over TLS: one hash for all its requests. */
static SV *tls(pTHX_ glue_request *request, int64_t number) {
    glue_core *core = request->core;
    struct glue_tls *kept;
    if (!core->tls) Newxz(core->tls, PAGI_TLS_KEPT, struct glue_tls);
    kept = &core->tls[number % PAGI_TLS_KEPT];
    if (kept->number != number) {
        pagi_scope_value values[PAGI_MOST_KEYS];
        HV *hash = newHV(), *before = kept->hash;
        if (pagi_stream_tls(request->stream, values)) {
            store_values(aTHX_ request, hash, &glue_tables(aTHX)->tls, values, 0);
        }
        kept->number = number;
        kept->hash = hash;
        SvREFCNT_dec((SV *)before);
    }
    return newRV_inc((SV *)kept->hash);
}

void glue_forget_tls(pTHX_ glue_core *core) {
    size_t at;
    if (!core->tls) return;
    for (at = 0; at < PAGI_TLS_KEPT; at++) SvREFCNT_dec((SV *)core->tls[at].hash);
    Safefree(core->tls);
    core->tls = NULL;
}

/* A copy of what is advertised, with what this scope and its connection add. */
static SV *extensions(pTHX_ glue_request *request, const pagi_scope_value *value) {
    pagi_text own = value->text;
    HV *copy = newHVhv(request->core->extensions);
    if (own.len) (void)hv_store(copy, own.ptr, (I32)own.len, newRV_noinc((SV *)newHV()), 0);
    if (value->num) {
        SV *key = glue_tables(aTHX)->tls.name;
        (void)hv_store_ent(copy, key, tls(aTHX_ request, value->num), SvSHARED_HASH(key));
    }
    return newRV_noinc((SV *)copy);
}

static SV *scope_value(pTHX_ glue_request *request, U8 kind, const pagi_scope_value *value,
                       size_t headers) {
    my_cxt_t *cxt = glue_tables(aTHX);
    SV *sv;
    switch (kind) {
    case PAGI_SCOPE_TEXT:
        sv = glue_string(aTHX_ value->text);
        if (value->num) SvUTF8_on(sv);
        return sv;
    case PAGI_SCOPE_PAIRS:
        return header_list(aTHX_ request->stream, headers);
    case PAGI_SCOPE_ADDRESS:
        return value->text.len ? address(aTHX_ value) : NULL;
    case PAGI_SCOPE_VERSIONS:
        return versions(aTHX_ cxt, value->text);
    case PAGI_SCOPE_STATE:
        return newRV_noinc((SV *)newHVhv(request->core->state));
    case PAGI_SCOPE_EXTENSIONS:
        return extensions(aTHX_ request, value);
    case PAGI_SCOPE_WORDS:
        return words(aTHX_ value->text);
    case PAGI_SCOPE_CONNECTION:
        return object(aTHX_ &request->connection, cxt->connection_stash);
    case PAGI_SCOPE_TRANSPORT:
        return transport(aTHX_ request, cxt->transport_stash);
    case PAGI_SCOPE_MAYBE:
        if (value->num < 0) return newSV(0);
        sv = glue_string(aTHX_ value->text);
        sv_utf8_decode(sv);
        return sv;
    case PAGI_SCOPE_NUMBER:
        return value->num < 0 ? newSV(0) : newSViv((IV)value->num);
    case PAGI_SCOPE_CERTIFICATES:
        return certificates(aTHX_ request->stream, (size_t)value->num);
    default:
        return glue_string(aTHX_ value->text);
    }
}

void glue_scope(pTHX_ glue_request *request) {
    my_cxt_t *cxt = glue_tables(aTHX);
    glue_scope_type *type = &cxt->scopes[request->kind];
    pagi_scope_value values[PAGI_MOST_KEYS];
    pagi_owned keep = { NULL, 0 };
    size_t headers = pagi_stream_scope(request->stream, values, &keep);
    HV *scope = request->scope;
    if (!scope) {
        scope = request->scope = newHV();
        hv_ksplit(scope, (IV)type->count);
    }
    store_values(aTHX_ request, scope, type, values, headers);
    pagi_owned_free(keep);
}
