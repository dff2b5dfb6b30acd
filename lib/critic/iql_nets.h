/* iql_nets.h — what evaluators need of a critic beside its weights. */
#ifndef DMC_CRITIC_IQL_NETS_H
#define DMC_CRITIC_IQL_NETS_H

#include "iql.h"

const dmc__value_net *dmc__iql_net(const dmc__iql *q, int32_t which);
dmc__device *dmc__iql_device(const dmc__iql *q);

#endif
