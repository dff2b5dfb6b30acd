/* net.h — the networks: builders that turn a config into a graph f(z, t, cond [, extra]) -> z-shaped output. */
#ifndef DMC_NN_NET_H
#define DMC_NN_NET_H

#include "../graph/graph.h"

/* f(z, t, cond [, extra]) -> (T, cols), but for the last three, which regress: their output is (1, outputs). */
enum {
    DMC__NET_IDQL_MLP = 0,
    DMC__NET_UNET1D_JANNER = 1,
    DMC__NET_UNET1D_CHI = 2,
    DMC__NET_TRANSFORMER_CHI = 3,
    DMC__NET_DIT1D = 4,
    DMC__NET_DQL_MLP = 5,
    DMC__NET_UNET1D_HALF = 6,
    DMC__NET_DIT1D_HALF = 7,
    DMC__NET_INVERSE_MLP = 8,
    DMC__NET_COUNT
};
enum { DMC__MAX_LEVELS = 8 };

/* How the diffusion time becomes a vector of emb_dim numbers (networks.md 2.6). */
enum {
    DMC__TIME_POSITIONAL = 0, /* [cos | sin], f_j = 10000^(-j/(E/2))                                         */
    DMC__TIME_SINUSOIDAL = 1, /* [sin | cos], f_j = 10000^(-j/(E/2-1))                                       */
    DMC__TIME_FOURIER = 2,    /* [cos | sin] of 2 pi g t, g ~ 16 N(0,1) (E/8) frozen, then Linear Mish Linear */
    DMC__TIME_FROZEN = 3      /* [cos | sin] of 2 pi g t, g (E/2) frozen                                     */
};
/* Faults of published code that its checkpoints were trained with (networks.md 8); off by default. */
enum {
    DMC__COMPAT_RESIDUAL = 1, /* DiT: the residual stream is overwritten by the modulated norm */
    DMC__COMPAT_INT_TIME = 2, /* frequencies of the time embedding are cast to integers        */
    DMC__COMPAT_INT_POSITIONS = 4, /* DiT: frequencies of the positions are cast to integers   */
    DMC__COMPAT_ALL = 7
};
/* What stands between the condition and the network. */
enum {
    DMC__ENCODER_NONE = 0,
    DMC__ENCODER_MLP = 1,            /* Linear ReLU Linear over all frames together                          */
    DMC__ENCODER_RESNET18 = 2,       /* per frame: a ResNet-18 per camera, its means joined to the low-dimensional rest */
    DMC__ENCODER_RESNET18_KEYS = 3   /* the same with keypoints (spatial softmax) in place of means         */
};
enum { DMC__MAX_CAMERAS = 8, DMC__CAMERA_NAME = 32 };

typedef struct dmc__net_config {
    int32_t kind;       /* DMC__NET_*                                                                    */
    int32_t horizon;    /* T: rows of z                                                                  */
    int32_t cols;       /* columns of z and of the output                                                */
    int32_t extra;      /* columns of a clean side input of T rows joined to z (cascade); 0 = none       */
    int32_t cond;       /* width of the condition vector; 0 = none                                       */
    int32_t hidden;     /* MLP, transformer: width; U-Net: channels of the first level                   */
    int32_t blocks;     /* MLP: residual blocks; transformer: layers                                     */
    int32_t emb_dim;    /* width of the time embedding                                                   */
    int32_t kernel;     /* U-Net taps                                                                    */
    int32_t levels, mult[DMC__MAX_LEVELS]; /* U-Net: cumulative channel multipliers                      */
    int32_t n_obs;      /* frames of the condition, each cond/n_obs wide                                 */
    int32_t heads;      /* transformer: heads of attention                                               */
    int32_t time_embed; /* DMC__TIME_*                                                                   */
    int32_t compat;     /* DMC__COMPAT_* bits                                                            */
    int32_t encoder;    /* DMC__ENCODER_*                                                                */
    int32_t enc_hidden, enc_dim; /* width inside and behind the encoder                                  */
    int32_t outputs;    /* networks that regress: columns of the output row; 0 for the others            */
    float dropout;      /* probability, while training; 0 = none                                         */
    /* Encoders of images: cond is [n_obs rows of low-dimensional features | n_obs frames (h,w,c) of each camera].   */
    int32_t cameras, image_h, image_w, image_c;
    int32_t crop_h, crop_w; /* window of a frame that is seen                                            */
    int32_t crop_random; /* 1: drawn while training, else the middle                                     */
    int32_t enc_width;      /* channels of the first stage: 1, 2, 4, 8 or a multiple of 16               */
    char camera[DMC__MAX_CAMERAS][DMC__CAMERA_NAME]; /* names, in tensors' names too; empty: their number */
} dmc__net_config;

typedef struct dmc__net {
    const dmc__allocator *alloc;
    dmc__net_config config;
    dmc__graph *graph;
    dmc__val z, t, cond, extra; /* inputs (T,cols) (1,1) (1,cond) (T,extra); -1 = the network has none */
    dmc__val out;               /* (T,cols), or (1,outputs)                                            */
} dmc__net;

/* "idql_mlp", ...; NULL if out of range. */
const char *dmc__net_name(int32_t kind);
/* 1 for networks whose output is (1, outputs). */
int32_t dmc__net_regresses(int32_t kind);

/* The numbers of a config that a file keeps, beside kind, mult and dropout; z and cond follow from the data. */
typedef struct dmc__net_number {
    const char *name;
    size_t offset; /* of an int32_t in dmc__net_config */
    int32_t min, max;
} dmc__net_number;
enum { DMC__NET_NUMBERS = 12 };
extern const dmc__net_number dmc__net_numbers[DMC__NET_NUMBERS];

/* Those of encoders of images. */
enum { DMC__NET_IMAGE_NUMBERS = 8 };
extern const dmc__net_number dmc__net_image_numbers[DMC__NET_IMAGE_NUMBERS];
/* 1 for configs whose condition holds images. */
int32_t dmc__net_sees(const dmc__net_config *c);
/* Numbers of one frame of one camera, and of low-dimensional features of one frame. */
int32_t dmc__net_frame(const dmc__net_config *c);
int32_t dmc__net_features(const dmc__net_config *c);

dmc_status dmc__net_create(const dmc__allocator *a, const dmc__net_config *c, dmc__net **out);
void dmc__net_destroy(dmc__net *n);
size_t dmc__net_bytes(const dmc__net *n); /* held; NULL: 0 */
/* The network `like` at another horizon, for the same block of weights. DMC_EINVAL naming a tensor that depends on the
 * horizon; DMC_ERANGE if the network cannot have that horizon (a U-Net halves it). */
dmc_status dmc__net_stretch(const dmc__allocator *a, const dmc__net *like, int32_t horizon, dmc__net **out);

/* One file per network; each appends its ops to n->graph and sets n->out. */
void dmc__idql_mlp_build(dmc__net *n);
void dmc__unet1d_janner_build(dmc__net *n);
void dmc__unet1d_chi_build(dmc__net *n);
void dmc__unet1d_half_build(dmc__net *n);
void dmc__dql_mlp_build(dmc__net *n);
void dmc__inverse_mlp_build(dmc__net *n);
void dmc__transformer_chi_build(dmc__net *n);
void dmc__dit1d_build(dmc__net *n);
void dmc__dit1d_half_build(dmc__net *n);
/* Embedding of n->t as config.time_embed says, (1, emb_dim); parameters map_noise.*. */
dmc__val dmc__net_time(dmc__net *n);
/* Images of n->cond and its low-dimensional features behind DMC__ENCODER_RESNET18*, (1, n_obs enc_dim). */
dmc__val dmc__resnet18_condition(dmc__net *n);
/* n->cond behind the encoder: (1, F), or -1 where the network has no condition; parameters condition.*. */
dmc__val dmc__net_condition(dmc__net *n);
/* How many frames that is a row of; 0 where the network has no condition. */
int32_t dmc__net_frames(const dmc__net *n);

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
