#include "task/bias.h"

enum { BIAS_MAX = ED_BIAS / ED_BIAS_ONE };

static void give(struct ed_worker *worker, uint64_t bias) {
    ED_STORE_RELAXED(&worker->fresh, bias <= BIAS_MAX ? ED_FRESH + bias * ED_BIAS_ONE : ED_FRESH);
    ED_STORE_RELAXED(&worker->alone, bias <= BIAS_MAX ? ED_FRESH + bias * ED_BIAS_ONE : 0);
}

void ed_bias_open(struct ed_worker *worker) {
    ed_spinlock_init(&worker->bias_lock);
    ED_STORE_RELAXED(&worker->bias_over, 1);
    give(worker, worker->identity != 0 && !worker->sched->migrate ? 1 : BIAS_MAX + 1);
}

/* `bias` of `worker`, which is not the caller's, is over when this returns. */
static void end_bias(struct ed_worker *worker, uint64_t bias) {
    if (ED_LOAD_ACQUIRE(&worker->bias_over) > bias) return;
    ed_spinlock_lock(&worker->bias_lock);
    if (ED_LOAD_RELAXED(&worker->bias_over) <= bias) {
        give(worker, bias + 1);
        ed_barrier(); /* partner: ed_bias_try_end's look at `alone` */
        const void *ending = ED_LOAD_ACQUIRE(&worker->ending);
        while (ending != NULL && ED_LOAD_ACQUIRE(&worker->ending) == ending) ed_cpu_relax();
        ED_STORE_RELEASE(&worker->bias_over, bias + 1);
    }
    ed_spinlock_unlock(&worker->bias_lock);
}

ED_COLD void ed_bias_leave(eddy_future *future, uint64_t word) {
    if (future->home != ed_worker_current()) end_bias(future->home, (word & ED_BIAS) / ED_BIAS_ONE);
}

bool ed_bias_hold(eddy_future *future) {
    uint64_t word = ED_LOAD_SEQCST(&future->word); /* partner: a spawn from outside */
    struct ed_sched *sched = future->sched;
    struct ed_worker *here = ed_worker_current();
    do {
        if (ed_refs_of(word) == 0 || (word & ED_DONE)) return false;
        for (unsigned i = 0; (word & ED_BIAS) != 0 && i < sched->workers_count; i++)
            if (sched->workers[i] != here) end_bias(sched->workers[i], (word & ED_BIAS) / ED_BIAS_ONE);
    } while (!ED_CAS_WEAK(&future->word, &word, word + ED_REF_ONE));
    return true;
}
