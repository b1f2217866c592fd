/* Between flite 2.2 (C) and flite.rs. Owns what can only be said in C: flite's error jump, its structs, and stand-ins
 * for its sound card output. Not here: locking, levels, text.
 *
 * Nothing in this file is thread safe; the Rust side holds one lock around every call. */

#include <setjmp.h>
#include <stddef.h>

#include <flite/flite.h>

cst_voice *register_cmu_us_slt(const char *voxdir);
cst_voice *register_cmu_us_rms(const char *voxdir);

/* Takes samples; nonzero stops the synthesis. */
typedef int (*offhook_sink)(void *owner, const short *samples, size_t count);

/* Takes one phone: its name, whether it begins a new token of the text (1) or belongs to none (-1), and where it begins
 * and ends in seconds. */
typedef void (*offhook_phone)(void *owner, const char *name, int token_change, float start, float end);

typedef struct {
    offhook_sink take;
    void *owner;
    int stopped;
} stream_state;

enum { OFFHOOK_OK = 0, OFFHOOK_FAILED = 1, OFFHOOK_WRONG_FORMAT = 2 };

/* flite plays to a sound card from one of its files, which would make the whole program need ALSA. A server has no
 * sound card: these take that file's place, so that the linker never fetches it. */
int audio_bps(cst_audiofmt fmt) { (void)fmt; return 2; }
cst_audiodev *audio_open(int sps, int channels, cst_audiofmt fmt)
{
    (void)sps; (void)channels; (void)fmt;
    return NULL;
}
int audio_close(cst_audiodev *ad) { (void)ad; return 0; }
int audio_write(cst_audiodev *ad, void *buff, int num_bytes)
{
    (void)ad; (void)buff; (void)num_bytes;
    return -1;
}
int audio_flush(cst_audiodev *ad) { (void)ad; return 0; }
int audio_drain(cst_audiodev *ad) { (void)ad; return 0; }
int play_wave(cst_wave *w) { (void)w; return -1; }
int play_wave_sync(cst_wave *w, cst_relation *rel, int (*call_back)(cst_item *))
{
    (void)w; (void)rel; (void)call_back;
    return -1;
}

static int take_chunk(const cst_wave *w, int start, int size, int last, cst_audio_streaming_info *asi)
{
    stream_state *state = asi->userdata;
    (void)last;
    if (state == NULL || state->stopped)
        return CST_AUDIO_STREAM_STOP;
    if (size > 0 && state->take(state->owner, w->samples + start, (size_t)size) != 0) {
        state->stopped = 1;
        return CST_AUDIO_STREAM_STOP;
    }
    return CST_AUDIO_STREAM_CONT;
}

/* Registers the voice with this number (0 slt, 1 rms). flite keeps voices until the process ends; call once each. */
cst_voice *offhook_flite_open(int number)
{
    static int initialised = 0;
    jmp_buf failed;
    jmp_buf *outer = cst_errjmp;
    cst_voice *voice = NULL;

    /* flite ends the process on an error, unless it is given somewhere to jump. */
    cst_errjmp = &failed;
    if (setjmp(failed) != 0) {
        cst_errjmp = outer;
        return NULL;
    }
    if (!initialised) {
        flite_init();
        initialised = 1;
    }
    switch (number) {
    case 0: voice = register_cmu_us_slt(NULL); break;
    case 1: voice = register_cmu_us_rms(NULL); break;
    default: break;
    }
    cst_errjmp = outer;
    return voice;
}

/* Tells every phone of a finished utterance, in order. For measuring: the program itself never asks. */
static void tell_phones(cst_utterance *utterance, offhook_phone phone, void *owner)
{
    const cst_item *item;
    const cst_item *token = NULL;
    float start = 0.0f;

    for (item = relation_head(utt_relation(utterance, "Segment")); item != NULL; item = item_next(item)) {
        const cst_item *of = path_to_item(item, "R:SylStructure.parent.parent.R:Token.parent");
        float end = item_feat_float(item, "end");
        int change = of == NULL ? -1 : token == NULL || !item_equal(of, token);
        phone(owner, item_feat_string(item, "name"), change, start, end);
        start = end;
        if (of != NULL)
            token = of;
    }
}

/* Speaks one ASCII text. `stretch` is of durations: 1 as recorded, 2 half as fast. Audio comes through `take` while it
 * is made, `chunk` samples or more at a time; `phone`, where given, hears the phones after it. On an error what flite had allocated is lost: rare, small, and better
 * than the process. */
int offhook_flite_speak(cst_voice *voice, const char *text, float stretch, int chunk, int *rate,
                        offhook_sink take, offhook_phone phone, void *owner)
{
    jmp_buf failed;
    jmp_buf *outer = cst_errjmp;
    stream_state state = { take, owner, 0 };
    cst_audio_streaming_info *asi;
    cst_utterance *utterance;
    cst_wave *wave;
    /* Volatile only because the compiler cannot see that it is not read after the jump. */
    volatile int outcome = OFFHOOK_FAILED;

    cst_errjmp = &failed;
    if (setjmp(failed) != 0) {
        cst_errjmp = outer;
        flite_feat_remove(voice->features, "streaming_info");
        return OFFHOOK_FAILED;
    }
    asi = new_audio_streaming_info();
    asi->min_buffsize = chunk;
    asi->asc = take_chunk;
    asi->userdata = &state;
    /* The feature owns it from here on. */
    flite_feat_set(voice->features, "streaming_info", audio_streaming_info_val(asi));
    flite_feat_set_float(voice->features, "duration_stretch", stretch);

    utterance = flite_synth_text(text, voice);
    if (utterance != NULL) {
        wave = utt_wave(utterance);
        outcome = OFFHOOK_OK;
        if (wave != NULL) {
            *rate = wave->sample_rate;
            if (wave->num_channels != 1)
                outcome = OFFHOOK_WRONG_FORMAT;
        }
        if (phone != NULL)
            tell_phones(utterance, phone, owner);
        delete_utterance(utterance);
    }
    flite_feat_remove(voice->features, "streaming_info");
    cst_errjmp = outer;
    return outcome;
}
