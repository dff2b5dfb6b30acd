/* net.h — the networks: builders that turn a config into a graph f(z, t, cond [, extra]) -> z-shaped output. */
#ifndef DMC_NN_NET_H
#define DMC_NN_NET_H

#include "../graph/graph.h"

enum { DMC__NET_IDQL_MLP = 0, DMC__NET_UNET1D_JANNER = 1 };
enum { DMC__MAX_LEVELS = 8 };

typedef struct dmc__net_config {
    int32_t kind;       /* DMC__NET_*                                                                    */
    int32_t horizon;    /* T: rows of z                                                                  */
    int32_t cols;       /* columns of z and of the output                                                */
    int32_t extra;      /* columns of a clean side input of T rows joined to z (cascade); 0 = none       */
    int32_t cond;       /* width of the condition vector; 0 = none                                       */
    int32_t hidden;     /* MLP width; U-Net: channels of the first level                                 */
    int32_t blocks;     /* MLP: residual blocks                                                          */
    int32_t emb_dim;    /* width of the time embedding                                                   */
    int32_t kernel;     /* U-Net taps                                                                    */
    int32_t levels, mult[DMC__MAX_LEVELS]; /* U-Net: cumulative channel multipliers                      */
} dmc__net_config;

typedef struct dmc__net {
    const dmc__allocator *alloc;
    dmc__net_config config;
    dmc__graph *graph;
    dmc__val z, t, cond, extra; /* inputs (T,cols) (1,1) (1,cond) (T,extra); -1 = the network has none */
    dmc__val out;               /* (T,cols)                                                            */
} dmc__net;

dmc_status dmc__net_create(const dmc__allocator *a, const dmc__net_config *c, dmc__net **out);
void dmc__net_destroy(dmc__net *n);
size_t dmc__net_bytes(const dmc__net *n); /* held; NULL: 0 */

/* One file per network; each appends its ops to n->graph and sets the value ids. */
void dmc__idql_mlp_build(dmc__net *n);
void dmc__unet1d_janner_build(dmc__net *n);

/* Value networks of the critic (networks.md 3.4 TwinQ and V): [Linear-LayerNorm-Mish] x 2 - Linear(1). */
typedef struct dmc__value_net {
    const dmc__allocator *alloc;
    dmc__graph *graph;
    dmc__val obs, act;  /* (1,S) (1,A); act -1 for V */
    dmc__val out[2];    /* twin: q1 q2; V: v, -1     */
} dmc__value_net;

dmc_status dmc__twin_q_create(const dmc__allocator *a, int32_t obs_dim, int32_t act_dim, int32_t hidden,
                              dmc__value_net **out);
dmc_status dmc__v_create(const dmc__allocator *a, int32_t obs_dim, int32_t hidden, dmc__value_net **out);
void dmc__value_net_destroy(dmc__value_net *n);

#endif
