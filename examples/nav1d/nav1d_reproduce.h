/* nav1d_reproduce.h — the paper's Nav1D table. */
#ifndef NAV1D_REPRODUCE_H
#define NAV1D_REPRODUCE_H

/* `nav1d reproduce FOLDER CONFIG-FOLDER SEEDS [section.key=value ...]`: trains and aligns what FOLDER does not hold yet, two jobs
 * at a time, and writes a markdown table on stdout. Returns the exit code. */
int nav1d_reproduce(int argc, char **argv);

#endif
