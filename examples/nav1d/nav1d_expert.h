/* nav1d_expert.h — the best that can be done in Nav1D, by dynamic programming.
 *
 *   V_12 = 0,   V_t(s) = max_a r_{t+1}(s') + V_{t+1}(s')
 *
 * on a grid of states and a grid of actions over [-1,1]; V_{t+1} is interpolated linearly between
 * states. With a ceiling below 1, actions that leave the states <= ceiling are forbidden wherever
 * another action exists: the best that data from that half of the line supports. Where none exists
 * (s - gamma > ceiling) every action is allowed.
 */
#ifndef NAV1D_EXPERT_H
#define NAV1D_EXPERT_H

#include "nav1d_env.h"

typedef struct nav1d_expert nav1d_expert;

/* A next state falls on the grid for 1001 x 401, the default everywhere: its optimum is 2e-4 below
 * that of a 2001 x 2001 grid, in a tenth of a second. */
enum { NAV1D_EXPERT_STATES = 1001, NAV1D_EXPERT_ACTIONS = 401 };

/* states, actions: 2..100001. ceiling: 1 for no restriction. NULL if one is out of range or
 * memory ran out. */
nav1d_expert *nav1d_expert_create(int32_t states, int32_t actions, double ceiling);
void nav1d_expert_destroy(nav1d_expert *e);

/* V_t(s), t = 0..12, and the best action a*(s,t), t = 0..11, both interpolated between states; s is
 * clipped. */
double nav1d_expert_value(const nav1d_expert *e, int32_t t, double state);
double nav1d_expert_action(const nav1d_expert *e, int32_t t, double state);

/* Mean of V_0 over starts in U[low,high], by the trapezoid rule over the states of the grid in
 * between; NaN if fewer than two lie there. */
double nav1d_expert_mean(const nav1d_expert *e, double low, double high);

#endif
