/* Event hashes to plain values and back, by the rows of the vocabulary. */
#include "glue.h"

/* Whether reading it may run Perl code: ties, overloads. Such an event is copied first (see
 * glue_plain), because that code could free what earlier fields point to, or die. No more than a
 * hint: Perl takes a class for one with overloads until it has looked. */
static int is_exotic(SV *sv) {
    return SvGMAGICAL(sv) || (SvROK(sv) && SvAMAGIC(sv));
}

static int has_exotic_item(pTHX_ AV *list, int depth) {
    SSize_t at, count;
    if (SvMAGICAL((SV *)list)) return 1;
    count = av_count(list);
    for (at = 0; at < count; at++) {
        SV *sv = AvARRAY(list)[at];
        if (!sv) continue;
        if (is_exotic(sv)) return 1;
        if (depth > 0 && SvROK(sv) && SvTYPE(SvRV(sv)) == SVt_PVAV
            && has_exotic_item(aTHX_ (AV *)SvRV(sv), depth - 1)) {
            return 1;
        }
    }
    return 0;
}

static int is_exotic_field(pTHX_ SV *sv) {
    if (is_exotic(sv)) return 1;
    return SvROK(sv) && SvTYPE(SvRV(sv)) == SVt_PVAV
        && has_exotic_item(aTHX_ (AV *)SvRV(sv), 1);
}

/* The tuples of a plain list go into one mortal buffer. */
void glue_pairs(pTHX_ SV *sv, pagi_value *value) {
    AV *list;
    SSize_t at, count;
    pagi_pair *pairs;
    SV *buffer;
    if (!SvROK(sv) || SvTYPE(SvRV(sv)) != SVt_PVAV) {
        value->tag = PAGI_WRONG;
        return;
    }
    list = (AV *)SvRV(sv);
    count = av_count(list);
    buffer = sv_2mortal(newSV((STRLEN)(count ? count : 1) * sizeof(pagi_pair)));
    pairs = (pagi_pair *)SvPVX(buffer);
    for (at = 0; at < count; at++) {
        SV **slot = av_fetch(list, at, 0);
        pagi_pair *pair = &pairs[at];
        AV *tuple;
        SV **name, **content;
        int wide = 0;
        Zero(pair, 1, pagi_pair);
        if (!slot || !SvROK(*slot) || SvTYPE(SvRV(*slot)) != SVt_PVAV
            || av_count((AV *)SvRV(*slot)) != 2) {
            pair->fault = 2;
            continue;
        }
        tuple = (AV *)SvRV(*slot);
        name = av_fetch(tuple, 0, 0);
        content = av_fetch(tuple, 1, 0);
        if (name && SvOK(*name)) pair->name = glue_text(aTHX_ *name, &wide);
        if (content && SvOK(*content)) pair->value = glue_text(aTHX_ *content, &wide);
        pair->fault = wide ? 1 : 0;
    }
    value->tag = PAGI_PAIRS;
    value->pairs = pairs;
    value->text.len = (size_t)count;
}

static void decode_int(pTHX_ SV *sv, pagi_value *value) {
    UV number;
    STRLEN len;
    const char *text;
    value->tag = PAGI_INT;
    if (SvIOK(sv) && !SvROK(sv)) {
        value->num = SvIsUV(sv) && SvUVX(sv) > (UV)IV_MAX ? IV_MAX : SvIVX(sv);
        return;
    }
    if (SvNOK(sv) && SvNVX(sv) == (NV)(IV)SvNVX(sv)) {
        value->num = (IV)SvNVX(sv);
        return;
    }
    if (SvROK(sv)) {
        value->tag = PAGI_WRONG;
        return;
    }
    text = SvPV_nomg(sv, len);
    if (len && isDIGIT(*text) && grok_number(text, len, &number) == IS_NUMBER_IN_UV
        && number <= (UV)IV_MAX) {
        value->num = (IV)number;
        return;
    }
    value->tag = PAGI_WRONG;
}

static void decode_bytes(pTHX_ SV *sv, pagi_value *value) {
    int wide = 0;
    if (SvROK(sv)) {
        value->tag = PAGI_WRONG;
        return;
    }
    value->text = glue_text(aTHX_ sv, &wide);
    value->tag = wide ? PAGI_WIDE : PAGI_BYTES;
}

static void decode_text(pTHX_ SV *sv, pagi_value *value) {
    if (SvROK(sv)) {
        value->tag = PAGI_WRONG;
        return;
    }
    value->text = glue_chars(aTHX_ sv);
    value->tag = PAGI_TEXT;
}

static void decode_number(pTHX_ SV *sv, pagi_value *value) {
    value->tag = !SvROK(sv) && looks_like_number(sv) ? PAGI_NUMBER : PAGI_WRONG;
    if (value->tag == PAGI_NUMBER) value->real = (double)SvNV_nomg(sv);
}

/* A file name is the bytes that Perl's own open would use. */
static void decode_path(pTHX_ SV *sv, pagi_value *value) {
    STRLEN len;
    if (SvROK(sv)) {
        value->tag = PAGI_WRONG;
        return;
    }
    value->text.ptr = SvPV_nomg(sv, len);
    value->text.len = len;
    value->tag = memchr(value->text.ptr, 0, len) ? PAGI_WRONG : PAGI_BYTES;
}

/* A descriptor that PAGI::Server::FileHandle found, or a handle that it has yet to look at. */
static void decode_handle(pTHX_ SV *sv, pagi_value *value) {
    value->tag = PAGI_HANDLE;
    if (SvROK(sv) && SvOBJECT(SvRV(sv)) && SvIOK(SvRV(sv))
        && SvSTASH(SvRV(sv)) == gv_stashpvs("PAGI::Server::FileHandle", 0)) {
        value->tag = PAGI_FILE;
        value->num = SvIVX(SvRV(sv));
    }
}

static void decode_field(pTHX_ SV *sv, U8 kind, pagi_value *value) {
    if (!SvOK(sv)) return;
    value->num = 0;
    value->pairs = NULL;
    switch (kind) {
    case PAGI_FIELD_INT:
        decode_int(aTHX_ sv, value);
        break;
    case PAGI_FIELD_FLAG:
        value->tag = PAGI_INT;
        value->num = SvTRUE_nomg(sv) ? 1 : 0;
        break;
    case PAGI_FIELD_BYTES:
        decode_bytes(aTHX_ sv, value);
        break;
    case PAGI_FIELD_PAIRS:
        glue_pairs(aTHX_ sv, value);
        break;
    case PAGI_FIELD_TEXT:
        decode_text(aTHX_ sv, value);
        break;
    case PAGI_FIELD_NUMBER:
        decode_number(aTHX_ sv, value);
        break;
    case PAGI_FIELD_PATH:
        decode_path(aTHX_ sv, value);
        break;
    default:
        decode_handle(aTHX_ sv, value);
    }
}

/* The row of an event and the values of its fields; PAGI_NO_ROW with the type as given for a type
 * that no row has, PAGI_EXOTIC for an event that must be copied first, which one that is_plain was.
 * No Perl code runs in here: the values point into the event's own scalars. */
ptrdiff_t glue_decode(pTHX_ HV *event, int is_plain, pagi_text *given, pagi_value *values) {
    my_cxt_t *cxt = glue_tables(aTHX);
    HE *entry = hv_fetch_ent(event, cxt->type_key, 0, SvSHARED_HASH(cxt->type_key));
    SV *type = entry ? HeVAL(entry) : NULL;
    glue_event *row;
    HE *found;
    IV index, left;
    U8 at;
    int wide = 0;
    given->ptr = "";
    given->len = 0;
    if (SvMAGICAL((SV *)event) || (type && is_exotic(type))) return PAGI_EXOTIC;
    if (!type || !SvOK(type)) return PAGI_NO_ROW;
    found = hv_fetch_ent(cxt->rows, type, 0, 0);
    if (!found) {
        *given = glue_text(aTHX_ type, &wide);
        return PAGI_NO_ROW;
    }
    index = SvIVX(HeVAL(found));
    row = &cxt->events[index];
    /* Most events give few of a row's fields: once all keys are accounted for, none is left. */
    left = (IV)HvUSEDKEYS(event) - 1;
    for (at = 0; at < row->count; at++) {
        HE *field = left > 0
            ? hv_fetch_ent(event, row->fields[at].key, 0, row->fields[at].hash) : NULL;
        values[at].tag = PAGI_ABSENT;
        if (!field) continue;
        left--;
        if (is_exotic_field(aTHX_ HeVAL(field)) && !is_plain) return PAGI_EXOTIC;
        decode_field(aTHX_ HeVAL(field), row->fields[at].kind, &values[at]);
    }
    return index;
}

static SV *encode_value(pTHX_ const pagi_value *value) {
    SV *sv;
    switch (value->tag) {
    case PAGI_INT: return newSViv((IV)value->num);
    case PAGI_NUMBER: return newSVnv((NV)value->real);
    default: break;
    }
    sv = glue_string(aTHX_ value->text);
    if (value->tag == PAGI_TEXT && value->num) SvUTF8_on(sv);
    return sv;
}

/* A received event as a hash reference. */
SV *glue_encode(pTHX_ const pagi_event *event) {
    my_cxt_t *cxt = glue_tables(aTHX);
    glue_event *row = &cxt->events[event->row];
    HV *hash = newHV();
    U8 at;
    /* A string of its own that shares its bytes until it is changed. */
    SV *type = newSVhek(SvSHARED_HEK_FROM_PV(SvPVX_const(row->name)));
    (void)hv_store_ent(hash, cxt->type_key, type, SvSHARED_HASH(cxt->type_key));
    for (at = 0; at < row->count; at++) {
        SV *sv = encode_value(aTHX_ &event->values[at]);
        (void)hv_store_ent(hash, row->fields[at].key, sv, row->fields[at].hash);
    }
    return newRV_noinc((SV *)hash);
}
