/* small_critic.h — a critic on a device and a batch of made-up transitions. */
#ifndef DMC_TESTS_SMALL_CRITIC_H
#define DMC_TESTS_SMALL_CRITIC_H

#include "../../lib/critic/iql.h"
#include "small_model.h"

typedef struct small_critic {
    dmc__device *device;
    dmc__iql *q;
    dmc__iql_config config;
} small_critic;

static inline void small_critic_open(small_critic *s, const char *device, const dmc__iql_config *c)
{
    s->config = *c;
    ok(dmc__device_open(&dmc__default_allocator, device, NULL, &s->device));
    ok(dmc__iql_create(&dmc__default_allocator, s->device, c, &s->q));
}

static inline void small_critic_close(small_critic *s)
{
    dmc__iql_destroy(s->q);
    dmc__device_close(s->device);
}

#endif
