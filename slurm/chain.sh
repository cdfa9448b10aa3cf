#!/bin/bash
# Submits one job after another: run it where sbatch is.
set -euo pipefail
score=$(sbatch --parsable <<'END'
#!/bin/bash
#SBATCH --job-name=prunelab-score
#SBATCH --partition=gpu
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=8
#SBATCH --cpus-per-task=6
#SBATCH --gres=gpu:8
#SBATCH --mem=400G
#SBATCH --time=720
#SBATCH --signal=USR2@300
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=prunelab-score-%j.out

module load cuda
export OMP_NUM_THREADS=1
export OMP_WAIT_POLICY=PASSIVE
export PRUNELAB_SRUN=ranks
export HF_HUB_OFFLINE=1
export WANDB_MODE=offline

code=0
srun --kill-on-bad-exit=1 --cpus-per-task=6 prunelab run "hydra.run.dir=outputs/slurm-$SLURM_JOB_ID" \
    trainer=ddp cluster=gpu until=score "$@" || code=$?

# Told by SLURM to end: what was done is in the store, and the same job goes on from there.
case $code in
138 | 140 | 143)
    if [ "${SLURM_RESTART_COUNT:-0}" -lt 5 ]; then scontrol requeue "$SLURM_JOB_ID"; fi
    ;;
esac
exit "$code"
END
)
prune=$(sbatch --parsable --dependency="afterok:$score" --kill-on-invalid-dep=yes <<'END'
#!/bin/bash
#SBATCH --job-name=prunelab-prune
#SBATCH --partition=gpu
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=6
#SBATCH --mem=64G
#SBATCH --time=60
#SBATCH --signal=USR2@300
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=prunelab-prune-%j.out

module load cuda
export OMP_NUM_THREADS=1
export OMP_WAIT_POLICY=PASSIVE
export PRUNELAB_SRUN=ranks
export HF_HUB_OFFLINE=1
export WANDB_MODE=offline

code=0
srun --kill-on-bad-exit=1 --cpus-per-task=6 prunelab run "hydra.run.dir=outputs/slurm-$SLURM_JOB_ID" \
    trainer=cpu cluster=gpu until=prune "$@" || code=$?

# Told by SLURM to end: what was done is in the store, and the same job goes on from there.
case $code in
138 | 140 | 143)
    if [ "${SLURM_RESTART_COUNT:-0}" -lt 5 ]; then scontrol requeue "$SLURM_JOB_ID"; fi
    ;;
esac
exit "$code"
END
)
recover=$(sbatch --parsable --dependency="afterok:$prune" --kill-on-invalid-dep=yes <<'END'
#!/bin/bash
#SBATCH --job-name=prunelab-recover
#SBATCH --partition=gpu
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=8
#SBATCH --cpus-per-task=6
#SBATCH --gres=gpu:8
#SBATCH --mem=400G
#SBATCH --time=720
#SBATCH --signal=USR2@300
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=prunelab-recover-%j.out

module load cuda
export OMP_NUM_THREADS=1
export OMP_WAIT_POLICY=PASSIVE
export PRUNELAB_SRUN=ranks
export HF_HUB_OFFLINE=1
export WANDB_MODE=offline

code=0
srun --kill-on-bad-exit=1 --cpus-per-task=6 prunelab run "hydra.run.dir=outputs/slurm-$SLURM_JOB_ID" \
    trainer=ddp cluster=gpu until=recover "$@" || code=$?

# Told by SLURM to end: what was done is in the store, and the same job goes on from there.
case $code in
138 | 140 | 143)
    if [ "${SLURM_RESTART_COUNT:-0}" -lt 5 ]; then scontrol requeue "$SLURM_JOB_ID"; fi
    ;;
esac
exit "$code"
END
)
evaluate=$(sbatch --parsable --dependency="afterok:$recover" --kill-on-invalid-dep=yes <<'END'
#!/bin/bash
#SBATCH --job-name=prunelab-evaluate
#SBATCH --partition=gpu
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=8
#SBATCH --cpus-per-task=6
#SBATCH --gres=gpu:8
#SBATCH --mem=400G
#SBATCH --time=720
#SBATCH --signal=USR2@300
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=prunelab-evaluate-%j.out

module load cuda
export OMP_NUM_THREADS=1
export OMP_WAIT_POLICY=PASSIVE
export PRUNELAB_SRUN=ranks
export HF_HUB_OFFLINE=1
export WANDB_MODE=offline

code=0
srun --kill-on-bad-exit=1 --cpus-per-task=6 prunelab run "hydra.run.dir=outputs/slurm-$SLURM_JOB_ID" \
    trainer=ddp cluster=gpu "$@" || code=$?

# Told by SLURM to end: what was done is in the store, and the same job goes on from there.
case $code in
138 | 140 | 143)
    if [ "${SLURM_RESTART_COUNT:-0}" -lt 5 ]; then scontrol requeue "$SLURM_JOB_ID"; fi
    ;;
esac
exit "$code"
END
)
echo "$score $prune $recover $evaluate"
