#!/usr/bin/env bash
# Everything of this project that needs a CUDA device, in at most 8 minutes: the tests marked gpu, the times of training
# steps, the kernels of one step, and the production run with its report.
#
#   benchmarks/gpu.sh OUT [DATASET] [rehearse]
#
# DATASET is an output folder of prepare_data under configs/celestial_enhanced_pgat_production.yaml; left out, the one of
# benchmarks/carry.py's archive. Writes to OUT:
#   card.txt tests.txt steps.jsonl compiled.jsonl production.txt and the run's folders under run/
# Needs python3 (or PYTHON) with torch and the packages of requirements/train.lock and evaluate.lock; neither kfp nor
# skyfield. `rehearse` does all of it on a processor, small.
set -uo pipefail
if [ $# = 0 ]; then
    echo "error: say where to: benchmarks/gpu.sh OUT [DATASET] [rehearse]" >&2
    exit 2
fi
out=$1 dataset=${2:-carry/dataset} rehearse=${3:-}
if [ ! -f "$dataset/manifest.json" ]; then
    echo "error: $dataset holds no dataset; python -m components.prepare_data makes one" >&2
    exit 2
fi
python=${PYTHON:-python3}
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"
mkdir -p "$out/run"
started=$SECONDS

# part NAME SECONDS COMMAND...: one part with its own limit, so that a slow one leaves time for the others
part() {
    local name=$1 limit=$2
    shift 2
    timeout -k 5 "$limit" "$@"
    local code=$?
    echo "$name: exit code $code, $((SECONDS - started)) s since the start" | tee -a "$out/parts.txt"
}

small=(--set model.e_layers=1 --set model.d_layers=1 --set model.celestial_fusion_layers=1)
run=(--config configs/celestial_enhanced_pgat_production.yaml)
steps=(--profile 16 256)
compiled=(--mode compiled reduce-overhead --precision bf16 --batch 16 256)
if [ -n "$rehearse" ]; then
    steps=(--device cpu --batch 2 --steps 1 --size 256 --profile 2 "${small[@]}")
    compiled=(--device cpu --mode plain --precision bf16 --batch 2 --steps 1 --size 256 "${small[@]}")
    run+=("${small[@]}" --set training.train_epochs=1 --set training.train_window_stride=100
          --set diagnostics.max_windows=20 --set diagnostics.pgd_steps=1)
fi

{ nvidia-smi || true; "$python" -c 'import sys, torch; print(sys.version, torch.__version__)'; nproc; } \
    > "$out/card.txt" 2>&1
mapfile -t tests < <(grep -lr "pytest.mark.gpu" tests --include="test_*.py")
part tests 120 "$python" -m pytest -m gpu "${tests[@]}" -q -p no:cacheprovider -W default > "$out/tests.txt" 2>&1
part steps 100 "$python" benchmarks/gpu.py "$dataset" "${steps[@]}" > "$out/steps.jsonl" 2> "$out/steps.txt"
part train 300 "$python" -m components.train "${run[@]}" \
    --dataset "$dataset" --model "$out/run/model" > "$out/production.txt" 2>&1
part evaluate 60 "$python" -m components.evaluate "${run[@]}" \
    --dataset "$dataset" --model "$out/run/model" --evaluation "$out/run/evaluation" >> "$out/production.txt" 2>&1
part diagnose 60 "$python" -m components.diagnose "${run[@]}" \
    --dataset "$dataset" --model "$out/run/model" --findings "$out/run/findings" >> "$out/production.txt" 2>&1
part report 30 "$python" -m components.report "${run[@]}" --run-name production --dataset "$dataset" \
    --model "$out/run/model" --evaluation "$out/run/evaluation" --findings "$out/run/findings" \
    --report "$out/run/report" --summary "$out/run/summary" >> "$out/production.txt" 2>&1
# Last, since a compiler may take all the time that is left.
part compiled "$((470 - SECONDS + started))" \
    "$python" benchmarks/gpu.py "$dataset" "${compiled[@]}" > "$out/compiled.jsonl" 2> "$out/compiled.txt"
cat "$out/parts.txt"
