/* nav1d_critic.h — how good a critic is: what acting by it alone returns, and how far its values are from the exact ones. */
#ifndef NAV1D_CRITIC_H
#define NAV1D_CRITIC_H

#include "nav1d_bench.h"

enum { NAV1D_CRITIC_ACTIONS = 101, NAV1D_CRITIC_FEW = 8, NAV1D_CRITIC_SEEDS = 64 };

typedef struct nav1d_critic_quality {
    nav1d_figure all;         /* return of argmax_a min(Q1,Q2)(s,a) over 101 actions in [-1,1]: the ceiling of an aligner */
    nav1d_figure few;         /* over 8 uniform actions: what a foundation that imitates uniform data returns             */
    nav1d_figure seen;        /* of the episodes that begin where the data do: half of them for the partial data          */
    double optimum;           /* the best of those, within the data's support                                             */
    double bias, rms;         /* of V(s_t) - V*_t(s_t) over states of the data; V* is undiscounted, in the data's support */
} nav1d_critic_quality;

/* kind: NAV1D_FULL, ...; preview: how the critic's observations are made; exact: of the data's support (ceiling 0 for the
 * partial data). */
dmc_status nav1d_critic_measure(dmc_critic *c, int32_t kind, int32_t preview, const nav1d_expert *exact,
                                nav1d_critic_quality *out);

/* `nav1d critic CONFIG-FOLDER [full|partial|expert ...] [preview] [critic.key=value ...]`: trains the critic of critic.yaml on
 * these data sets (all three by default), measures, writes a markdown table on stdout. Returns the exit code. */
int nav1d_critic(int argc, char **argv);

#endif
