/* How long two threads take to change 256 KiB in turns, and one thread alone, in microseconds.

   cc -O3 -march=native -fopenmp benchmarks/core_to_core.c -o /tmp/core_to_core && /tmp/core_to_core */

#include <omp.h>
#include <stdio.h>

enum { NUMBERS = 65536, TURNS = 5000, REPEATS = 5 };

static float numbers[NUMBERS];

static void change(void) {
    for (int i = 0; i < NUMBERS; i++) numbers[i] += 1.0f;
}

static double in_turns(void) {
    double start = omp_get_wtime();
#pragma omp parallel num_threads(2)
    for (int turn = 0; turn < TURNS; turn++) {
        if (omp_get_thread_num() == turn % 2) change();
#pragma omp barrier
    }
    return 1e6 * (omp_get_wtime() - start) / TURNS;
}

static double alone(void) {
    double start = omp_get_wtime();
    for (int turn = 0; turn < TURNS; turn++) {
        change();
        __asm__ volatile("" ::: "memory");
    }
    return 1e6 * (omp_get_wtime() - start) / TURNS;
}

int main(void) {
    for (int i = 0; i < REPEATS; i++) printf("in turns %.1f, alone %.1f\n", in_turns(), alone());
}
