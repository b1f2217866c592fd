/* Speaks with RHVoice. A Windows program (mingw, run by Wine), because the package registries carry that library for
 * Windows only. Each line of standard input is `voice TAB rate TAB pitch TAB file TAB text`, rate and pitch relative to
 * the voice's own; the file gets 16-bit samples, and the answer is one line, their rate (0: not spoken). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <windows.h>

/* What RHVoice.dll 1.14 takes, in its order. */
struct callbacks {
    int (*sample_rate)(int, void *);
    int (*speech)(const short *, unsigned, void *);
    void *others[7];
};
struct init {
    const char *data, *config, **paths;
    struct callbacks calls;
    unsigned options;
};
struct params {
    const char *voice;
    double rate, pitch, volume, by_rate, by_pitch, by_volume;
    int punctuation;
    const char *list;
    int capitals, flags;
};

static FILE *out;
static int rate;

static int on_rate(int r, void *user) {
    rate = r;
    return 1;
}

static int on_speech(const short *x, unsigned n, void *user) {
    return fwrite(x, 2, n, out) == n;
}

int main(int argc, char **argv) {
    HMODULE dll = argc == 4 ? LoadLibraryA(argv[1]) : NULL;
    if (!dll) {
        fprintf(stderr, "usage: rhvoice RHVoice.dll DATA CONFIG\n");
        return 2;
    }
    void *(*engine)(struct init *) = (void *)GetProcAddress(dll, "RHVoice_new_tts_engine");
    void *(*message)(void *, const char *, unsigned, int, struct params *, void *) =
        (void *)GetProcAddress(dll, "RHVoice_new_message");
    int (*speak)(void *) = (void *)GetProcAddress(dll, "RHVoice_speak");
    void (*drop)(void *) = (void *)GetProcAddress(dll, "RHVoice_delete_message");
    struct init in = {argv[2], argv[3], NULL, {on_rate, on_speech, {NULL}}, 0};
    void *e = engine(&in);
    if (!e) {
        fprintf(stderr, "no voices in %s\n", argv[2]);
        return 1;
    }
    static char line[4096];
    while (fgets(line, sizeof line, stdin)) {
        char *f[5], *p = line;
        line[strcspn(line, "\r\n")] = 0;
        for (int i = 0; i < 5; i++) {
            f[i] = p;
            if (i < 4 && (p = strchr(p, '\t')))
                *p++ = 0;
            if (!p) {
                fprintf(stderr, "five fields, please\n");
                return 2;
            }
        }
        struct params s = {f[0], 0, 0, 0, atof(f[1]), atof(f[2]), 1, 0, NULL, 0, 0};
        out = fopen(f[3], "wb");
        void *m = out ? message(e, f[4], strlen(f[4]), 0, &s, NULL) : NULL;
        if (m) {
            speak(m);
            drop(m);
        }
        if (out)
            fclose(out);
        printf("%d\n", m ? rate : 0);
        fflush(stdout);
    }
    return 0;
}
