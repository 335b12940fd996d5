/* Who is told of what goes wrong; a line of the access log from a plain hash. */
#include "glue.h"

/* Whose log has what is said of applications, until the caller's LEAVE. */
void glue_log_to(pTHX_ glue_core *core) {
    GV *slot = glue_tables(aTHX)->logger;
    if (!core->logger && !SvOK(GvSVn(slot))) return;
    save_scalar(slot);
    if (core->logger) sv_setsv(GvSVn(slot), core->logger);
}

/* Warns through Perl, in an eval: a handler that dies must not take the batch with it. */
void glue_warn(pTHX_ const char *before, SV *what) {
    dSP;
    ENTER;
    SAVETMPS;
    save_scalar(PL_errgv);
    PUSHMARK(SP);
    EXTEND(SP, 2);
    PUSHs(sv_2mortal(newSVpv(before, 0)));
    if (what) PUSHs(what);
    PUTBACK;
    call_pv("PAGI::Server::Dispatch::warning", G_VOID | G_DISCARD | G_EVAL);
    FREETMPS;
    LEAVE;
}

/* A copy: what an overload or a tie does to the hash must not change what was read before. */
static SV *item(pTHX_ HV *info, const char *key) {
    SV **slot = hv_fetch(info, key, (I32)strlen(key), 0);
    SV *copy = slot ? sv_mortalcopy(*slot) : NULL;
    return copy && SvOK(copy) ? copy : NULL;
}

/* A string of its own, as a mortal. */
static SV *plain_string(pTHX_ SV *sv) {
    STRLEN len;
    const char *chars;
    SvGETMAGIC(sv);
    if (!SvOK(sv)) return newSVpvn_flags("", 0, SVs_TEMP);
    chars = SvPV_nomg(sv, len);
    return newSVpvn_flags(chars, len, SVs_TEMP | (SvUTF8(sv) ? SVf_UTF8 : 0));
}

/* Characters are written as UTF-8. */
static pagi_text text_of(pTHX_ SV *sv) {
    pagi_text text = { NULL, 0 };
    STRLEN len;
    if (!sv) return text;
    text.ptr = SvPV_nomg(plain_string(aTHX_ sv), len);
    text.len = len;
    return text;
}

/* Header tuples without ties and overloads, as a mortal; what is no tuple is left out. */
static SV *plain_pairs(pTHX_ SV *sv) {
    AV *copy = (AV *)sv_2mortal((SV *)newAV()), *list;
    SSize_t at;
    if (SvROK(sv) && SvTYPE(SvRV(sv)) == SVt_PVAV) {
        list = (AV *)sv_2mortal(SvREFCNT_inc(SvRV(sv)));
        for (at = 0; at <= av_len(list); at++) {
            SV **slot = av_fetch(list, at, 0);
            SV *tuple = slot ? sv_mortalcopy(*slot) : NULL;
            SV **name, **value;
            AV *pair;
            if (!tuple || !SvROK(tuple) || SvTYPE(SvRV(tuple)) != SVt_PVAV) continue;
            if (av_len((AV *)SvRV(tuple)) != 1) continue;
            pair = newAV();
            av_push(copy, newRV_noinc((SV *)pair));
            name = av_fetch((AV *)SvRV(tuple), 0, 0);
            av_push(pair, SvREFCNT_inc(plain_string(aTHX_ name ? *name : &PL_sv_undef)));
            value = av_fetch((AV *)SvRV(tuple), 1, 0);
            av_push(pair, SvREFCNT_inc(plain_string(aTHX_ value ? *value : &PL_sv_undef)));
        }
    }
    return sv_2mortal(newRV_inc((SV *)copy));
}

static NV number_of(pTHX_ SV *sv) {
    return sv && looks_like_number(sv) ? SvNV(sv) : 0;
}

/* No more than fits. */
static size_t size_of(NV size) {
    if (size >= (NV)SIZE_MAX) return SIZE_MAX;
    return size > 0 ? (size_t)size : 0;
}

/* Everything that may run Perl code comes before the core is called. */
SV *glue_log_line(pTHX_ SV *format, HV *hash) {
    pagi_log_info info;
    pagi_text source;
    SV *stamp = item(aTHX_ hash, "timestamp"), *headers = item(aTHX_ hash, "request_headers");
    NV status = number_of(aTHX_ item(aTHX_ hash, "status"));
    NV size = number_of(aTHX_ item(aTHX_ hash, "size"));
    STRLEN len;
    Zero(&info, 1, pagi_log_info);
    info.client = text_of(aTHX_ item(aTHX_ hash, "client_ip"));
    info.method = text_of(aTHX_ item(aTHX_ hash, "method"));
    info.path = text_of(aTHX_ item(aTHX_ hash, "path"));
    info.query = text_of(aTHX_ item(aTHX_ hash, "query"));
    info.version = text_of(aTHX_ item(aTHX_ hash, "http_version"));
    info.duration = number_of(aTHX_ item(aTHX_ hash, "duration"));
    info.status = status > 0 && status < 65536 ? (U16)status : 0;
    info.size = size_of(size);
    if (stamp && looks_like_number(stamp)) info.time = SvNV(stamp);
    else info.stamp = text_of(aTHX_ stamp);
    if (!stamp) info.stamp.ptr = "-", info.stamp.len = 1;
    if (headers) glue_pairs(aTHX_ plain_pairs(aTHX_ headers), &info.headers);
    source.ptr = SvPVutf8(plain_string(aTHX_ format), len);
    source.len = len;
    return glue_owned(aTHX_ pagi_log_line(source, &info));
}
