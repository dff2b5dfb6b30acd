/* cli_eval.c — dmc eval: how well a model predicts episodes it was not trained on.
 *
 * The error of a prediction is mean |action - recorded action| over the rows and dimensions of a
 * window, in the dataset's units. Two predictions that need no model show what the figure is
 * worth: the last action again, and the mean action of the training episodes.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

enum { CANDIDATES = 8, GROUP = 32, WINDOWS = 256 };

typedef struct job {
    const cli_args *args;
    cli_session s;
    dmc_sampler *sampler;
    int32_t horizon, cols, n_obs, obs_dim, act_dim, episodes;
    int64_t positions; /* held-out rows that have a row before them */
    int32_t windows;
    float *obs, *act, *drawn; /* (GROUP,S) (GROUP,horizon,A) (GROUP*CANDIDATES,horizon,cols) */
    float *mean;              /* (A) of the training episodes */
    uint8_t *image;           /* (GROUP,h,w,c) of one camera of a model that sees */
    int32_t cameras;
    size_t frame;             /* bytes */
    double loss;              /* denoising, held out */
    double sample, best, repeat, average; /* sums of errors over windows */
} job;

/* A moment of a held-out episode. */
typedef struct moment {
    const float *obs, *act; /* the episode's rows */
    int32_t episode, row, len;
} moment;

static const float *row_at(const float *x, int32_t row, int32_t cols)
{
    return x + (size_t)row * (size_t)cols;
}

/* ---- the data -------------------------------------------------------------------------------- */

static int look_at_data(job *j)
{
    dmc_dataset_info d = {.struct_size = sizeof d};
    int64_t rows = 0;
    CLI_CALL(dmc_dataset_get_info(j->s.data, &d));
    j->episodes = d.episodes;
    for (int32_t e = 0; e < j->episodes; e++) {
        const float *act;
        int32_t held, len;
        CLI_CALL(dmc_dataset_is_held_out(j->s.data, e, &held));
        CLI_CALL(dmc_dataset_episode(j->s.data, e, NULL, &act, NULL, &len));
        if (held) {
            j->positions += len - 1;
            continue;
        }
        for (int32_t i = 0; i < len; i++, rows++)
            for (int32_t a = 0; a < j->act_dim; a++) /* running mean: no sum that grows */
                j->mean[a] += (row_at(act, i, j->act_dim)[a] - j->mean[a]) / (float)(rows + 1);
    }
    return CLI_OK;
}

/* The moment number `at` of all held-out moments that have a row before them. */
static int find_moment(const job *j, int64_t at, moment *m)
{
    for (int32_t e = 0; e < j->episodes; e++) {
        int32_t held;
        CLI_CALL(dmc_dataset_is_held_out(j->s.data, e, &held));
        if (!held) continue;
        CLI_CALL(dmc_dataset_episode(j->s.data, e, &m->obs, &m->act, NULL, &m->len));
        m->episode = e;
        m->row = (int32_t)at + 1;
        if (at < m->len - 1) return CLI_OK;
        at -= m->len - 1;
    }
    return cli_complain(CLI_FAILED, "there are fewer held-out moments than counted");
}

/* ---- errors ---------------------------------------------------------------------------------- */

/* Mean absolute error of predicted rows p, p + stride, ... against what was recorded until the
 * episode's end. */
static double error_of(const job *j, const moment *m, const float *p, int32_t stride)
{
    const int32_t rows = m->len - m->row < j->horizon ? m->len - m->row : j->horizon;
    double sum = 0;
    for (int32_t i = 0; i < rows; i++)
        for (int32_t a = 0; a < j->act_dim; a++)
            sum += fabs((double)row_at(p, i, stride)[a] -
                        (double)row_at(m->act, m->row + i, j->act_dim)[a]);
    return sum / rows / j->act_dim;
}

static void add_errors(job *j, const moment *m, int32_t g)
{
    const int32_t act_at = j->cols - j->act_dim; /* planners put the state first */
    double sum = 0, best = INFINITY;
    for (int32_t c = 0; c < CANDIDATES; c++) {
        const float *z = row_at(j->drawn, (g * CANDIDATES + c) * j->horizon, j->cols);
        const double e = error_of(j, m, z + act_at, j->cols);
        sum += e;
        best = fmin(best, e);
    }
    j->sample += sum / CANDIDATES;
    j->best += best;
    j->repeat += error_of(j, m, row_at(m->act, m->row - 1, j->act_dim), 0);
    j->average += error_of(j, m, j->mean, 0);
}

static int32_t row_before(const moment *m, int32_t back)
{
    return m->row > back ? m->row - back : 0;
}

/* What the cameras saw `back` rows before every moment. */
static int show_images(job *j, const moment *m, int32_t back)
{
    for (int32_t i = 0; i < j->cameras; i++) {
        const char *const name = dmc_model_camera(j->s.model, i);
        for (int32_t g = 0; g < GROUP; g++) {
            const uint8_t *pixels;
            CLI_CALL(dmc_dataset_frames(j->s.data, m[g].episode, name, &pixels));
            memcpy(j->image + (size_t)g * j->frame, pixels + (size_t)row_before(&m[g], back) * j->frame, j->frame);
        }
        CLI_CALL(dmc_sampler_set_image(j->sampler, name, j->image, GROUP * j->frame));
    }
    return CLI_OK;
}

/* Show the sampler the last n_obs observations of every moment; the first of an episode is
 * repeated. */
static int draw(job *j, const moment *m, uint64_t group)
{
    const size_t s = (size_t)j->obs_dim, rows = (size_t)GROUP * (size_t)j->horizon;
    CLI_CALL(dmc_sampler_reset(j->sampler, j->s.set.sampler.seed + group));
    for (int32_t back = j->n_obs - 1; back >= 0; back--) {
        for (int32_t g = 0; g < GROUP; g++) {
            memcpy(j->obs + (size_t)g * s, row_at(m[g].obs, row_before(&m[g], back), j->obs_dim), s * sizeof *j->obs);
        }
        CLI_TRY(show_images(j, m, back));
        CLI_CALL(
            dmc_sampler_sample(j->sampler, j->obs, GROUP * s, j->act, rows * (size_t)j->act_dim));
    }
    CLI_CALL(dmc_sampler_candidates(j->sampler, j->drawn, rows * CANDIDATES * (size_t)j->cols));
    return CLI_OK;
}

/* Windows at equal distances; the last group is filled up with its last window, uncounted. */
static int measure(job *j)
{
    moment m[GROUP];
    for (int32_t first = 0; first < j->windows; first += GROUP) {
        for (int32_t g = 0; g < GROUP; g++) {
            const int64_t w = first + g < j->windows ? first + g : j->windows - 1;
            CLI_TRY(find_moment(j, w * j->positions / j->windows, &m[g]));
        }
        CLI_TRY(draw(j, m, (uint64_t)(first / GROUP)));
        for (int32_t g = 0; g < GROUP && first + g < j->windows; g++) add_errors(j, &m[g], g);
    }
    return CLI_OK;
}

/* ---- the command ----------------------------------------------------------------------------- */

static int measure_loss(job *j)
{
    dmc_trainer *t;
    CLI_CALL(dmc_trainer_create(j->s.ctx, j->s.model, j->s.data, &j->s.set.train, &t));
    const dmc_status status = dmc_trainer_evaluate(t, &j->loss);
    dmc_trainer_destroy(t);
    return status < 0 ? cli_fail(status) : CLI_OK;
}

static int allocate(job *j)
{
    const size_t rows = (size_t)GROUP * (size_t)j->horizon;
    j->obs = calloc(GROUP * (size_t)j->obs_dim, sizeof *j->obs);
    j->act = calloc(rows * (size_t)j->act_dim, sizeof *j->act);
    j->drawn = calloc(rows * CANDIDATES * (size_t)j->cols, sizeof *j->drawn);
    j->mean = calloc((size_t)j->act_dim, sizeof *j->mean);
    j->image = calloc(GROUP, j->frame + 1); /* one byte where there is no camera */
    return j->obs && j->act && j->drawn && j->mean && j->image ? CLI_OK
                                                               : cli_complain(CLI_FAILED, "out of memory");
}

static int prepare(job *j)
{
    CLI_TRY(cli_session_open(j->args, &j->s));
    j->windows = WINDOWS;
    if (j->args->count)
        CLI_TRY(cli_whole_number("--count", j->args->count, 1, 1000000, &j->windows));
    CLI_TRY(cli_session_data(&j->s));
    CLI_TRY(cli_session_model(&j->s));
    CLI_TRY(
        measure_loss(j)); /* also refuses a dataset of other widths, or without held-out episodes */
    dmc_sampler_options o = j->s.set.sampler;
    o.batch = GROUP;
    o.candidates = CANDIDATES;
    o.select = DMC_SELECT_FIRST;
    CLI_TRY(cli_session_sampler(&j->s, &o, &j->sampler));
    if (j->s.inverse)
        return cli_complain(CLI_BAD_INPUT, "eval measures actions that were drawn; those of a model with states_only are an "
                                           "inverse model's");
    CLI_CALL(
        dmc_model_sizes(j->s.model, &j->horizon, &j->cols, &j->n_obs, &j->obs_dim, &j->act_dim));
    if (o.horizon > 0) j->horizon = o.horizon;
    int32_t h, w, c;
    CLI_CALL(dmc_model_cameras(j->s.model, &j->cameras, &h, &w, &c));
    j->frame = (size_t)h * (size_t)w * (size_t)c;
    CLI_TRY(allocate(j));
    CLI_TRY(look_at_data(j));
    if (j->positions < 1)
        return cli_complain(CLI_BAD_INPUT, "the held-out episodes have no row after the first");
    if (j->windows > j->positions) j->windows = (int32_t)j->positions;
    return CLI_OK;
}

static void print_result(const job *j)
{
    const double n = j->windows;
    const cli_pair line[] = {{"windows", NULL, n},
                             {"candidates", NULL, CANDIDATES},
                             {"held_out_loss", NULL, j->loss},
                             {"error_sample", NULL, j->sample / n},
                             {"error_best", NULL, j->best / n},
                             {"error_repeat_last", NULL, j->repeat / n},
                             {"error_mean_action", NULL, j->average / n}};
    if (j->args->json) {
        cli_record_write(stdout, sizeof line / sizeof *line, line);
        return;
    }
    printf("held-out denoising loss          %10.5f\n", j->loss);
    printf("mean absolute action error over %d held-out windows of %d rows, dataset units:\n",
           j->windows, j->horizon);
    printf("  model, one sample              %10.5g\n", j->sample / n);
    printf("  model, best of %d samples       %10.5g\n", CANDIDATES, j->best / n);
    printf("  baseline: last action again    %10.5g\n", j->repeat / n);
    printf("  baseline: mean action          %10.5g\n", j->average / n);
}

static int run(job *j)
{
    CLI_TRY(prepare(j));
    CLI_TRY(measure(j));
    print_result(j);
    return CLI_OK;
}

int cli_eval(const cli_args *args)
{
    job j = {.args = args};
    const int code = run(&j);
    free(j.image);
    free(j.mean);
    free(j.drawn);
    free(j.act);
    free(j.obs);
    dmc_sampler_destroy(j.sampler);
    cli_session_close(&j.s);
    return code;
}
