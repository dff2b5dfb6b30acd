/* nav1d_ablations.h — what each choice of alignment is worth, on one foundation. */
#ifndef NAV1D_ABLATIONS_H
#define NAV1D_ABLATIONS_H

/* `nav1d ablations FOLDER CONFIG-FOLDER [section.key=value ...]`: the DDPM planner on full data, seed 0, with one choice changed at
 * a time; foundation and critic as `nav1d reproduce` leaves them in FOLDER. A markdown table on stdout. Returns the exit code. */
int nav1d_ablations(int argc, char **argv);

#endif
