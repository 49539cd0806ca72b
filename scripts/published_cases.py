"""The published porting stories: which runs retell them, and what each run must end with."""

from __future__ import annotations

from dataclasses import dataclass

BIG = ("settings.size=published", "parallel=off", "threads=2", "probe=off")
OLD = "OLD"  # stands for the interpreter with the older transformers
LENS = "LENS"  # stands for the interpreter with TransformerLens


@dataclass(frozen=True, slots=True)
class Run:
    """One step of one port.

    Attributes:
        story: the port whose story it belongs to.
        name: what is run, for people.
        published: what the author saw, or claimed.
        port: a shipped port, or a port file below the repository.
        overrides: as for ``--set``; OLD and LENS are replaced by interpreters.
        exit_code: 0 aligned, 1 diverged, 2 could not decide.
        begins: a part of the first origin's name; "" where nothing begins.
        causes: what findings and reservations must say, a part of each; all findings must be named.
        experiment: of the published curves it is compared with; "" if none.
        right: which side must be the nearer to the float64 reference: "reference", "neither"; "" if
            it isn't asked.
    """

    story: str
    name: str
    published: str
    port: str
    exit_code: int
    step: str = "forward"
    overrides: tuple[str, ...] = ()
    begins: str = ""
    causes: tuple[str, ...] = ()
    experiment: str = ""
    right: str = ""


_TABLE = "glue before model.transformer.h.0 in.0"
_CORE = "self_attn.o_proj in.0"


def _ctrl(
    name: str,
    exit_code: int,
    experiment: str,
    *overrides: str,
    begins: str = "",
    causes: tuple[str, ...] = (),
) -> Run:
    said = "differences grow with depth, collapse at the last norm; rounding or not: not known"
    return Run(
        "ctrl",
        name,
        said,
        "ctrl",
        exit_code,
        overrides=(*BIG, *overrides),
        begins=begins,
        causes=causes,
        experiment=experiment,
    )


def _gemma2(claims: str, published: str, *causes: str, begins: str = _CORE) -> Run:
    return Run(
        "gemma2",
        claims,
        published,
        "gemma2",
        1 if causes else 0,
        overrides=(f"settings.claims={claims}",),
        begins=begins if causes else "",
        causes=causes,
    )


def _smollm2(name: str, repair: str, n_tokens: int, published: str, right: str = "") -> Run:
    overrides = (
        "settings.size=published",
        f"settings.repair={repair}",
        f"settings.tokens={n_tokens}",
    )
    is_broken = repair == "none"
    return Run(
        "smollm2_bf16",
        name,
        published,
        "smollm2_bf16",
        1 if is_broken else 0,
        overrides=overrides,
        begins="rotary_emb.inv_freq" if is_broken else "",
        causes=("rounded through bfloat16, bit for bit",) if is_broken else (),
        right=right,
    )


_SCALE = "division by 14.9666), in the reference 0.0625 = 1/16"
_CAP = "the soft-cap of the attention scores is none, in the reference 50"

RUNS = (
    _ctrl(
        "random, no mask",
        1,
        "random_init_unmasked",
        "twin=on",
        begins=_TABLE,
        causes=("sinusoid of base 10000 computed in another way in float32",),
    ),
    _ctrl("random, right padding", 0, "random_init_masked", "settings.padding=right", "twin=off"),
    _ctrl(
        "trained-like, no mask",
        0,
        "pretrained_unmasked",
        "settings.weights=trained_like",
        "twin=off",
    ),
    _ctrl(
        "trained-like, right padding",
        0,
        "pretrained_masked",
        "settings.weights=trained_like",
        "settings.padding=right",
        "twin=off",
    ),
    _ctrl(
        "trained-like, table copied",
        0,
        "pretrained_unmasked_embedding_copied",
        "settings.weights=trained_like",
        "settings.table=copied",
        "twin=on",
    ),
    Run(
        "ctrl",
        "left padding (small)",
        "-",
        "ctrl",
        1,
        overrides=("settings.table=copied", "settings.padding=left"),
        begins="attention_mask",
        causes=("-1e+04 for each of up to 2 reasons", "rows whose keys are all masked"),
    ),
    Run(
        "bert",
        "10 iterations",
        "losses at 0.0 mean difference; nothing else was compared",
        "bert",
        0,
        "backward",
    ),
    Run("bert", "learning rate", "exactly 0.0 at steps 100 to 4000", "bert", 0, "lr_scheduler"),
    Run(
        "bert",
        "the copied script: torch against torch",
        "ten zeros",
        "tests/vacuous/bert_backward/port.yaml",
        2,
        "backward",
        causes=("the same model",),
    ),
    Run(
        "bert",
        "the copied script: a scheduler never stepped",
        "0.1 against 0.1, ninety times",
        "tests/vacuous/alexnet_lr/port.yaml",
        2,
        "lr_scheduler",
        causes=("constant",),
    ),
    Run(
        "gpt2_lens",
        "GPT-2 small, weights processed",
        "allclose is False, by 50 to 60",
        "gpt2_lens",
        0,
        overrides=("settings.size=published", f"candidate.python={LENS}"),
        causes=("one constant per position", "centred over the vocabulary", "folded in"),
    ),
    _gemma2("none", "-"),
    _gemma2("einsum", "einsum differs from matmul"),
    _gemma2("attention_scale", "1/sqrt(224) where 1/16 is right", _SCALE),
    _gemma2("no_attention_softcap", "the cap of 50 is missing", _CAP),
    _gemma2("attention_scale+no_attention_softcap", "both", _CAP, _SCALE),
    _gemma2(
        "no_final_softcap",
        "the cap of 30 is missing",
        "the soft-cap of the output is none, in the reference 30",
        begins="glue in (root) after model.model.norm",
    ),
    _gemma2(
        "rotary_bfloat16",
        "tables in bfloat16",
        "rounds what it makes through bfloat16",
        begins="rotary_emb out.0",
    ),
    _gemma2(
        "rotary_base",
        "another base",
        "another rotary base: 1000000, in the reference 10000",
        begins="rotary_emb.inv_freq",
    ),
    _gemma2(
        "rotary_interleaved",
        "interleaved for half-split",
        "turn neighbours (interleaved), in the reference halves",
    ),
    _gemma2(
        "layers_swapped",
        "global and local layers swapped",
        "local and global layers are in the wrong order",
    ),
    Run(
        "gemma2",
        "transformers 4.48.3: eager against sdpa",
        '"transformers disables the soft-cap at inference"',
        "gemma2",
        1,
        overrides=(
            "candidate.framework=torch",
            "candidate.build=portalign.ports.gemma2.torch_side:build_sdpa",
            f"reference.python={OLD}",
            f"candidate.python={OLD}",
        ),
        begins="self_attn",
        causes=(_CAP,),
    ),
    _smollm2(
        "3 tokens",
        "none",
        3,
        "273 weights identical, differences grow to 6.0, no cause",
        right="neither",
    ),
    _smollm2("512 tokens", "none", 512, "which side is right?", right="reference"),
    _smollm2("the float32 buffer put back", "candidate", 3, "-"),
    _smollm2("the rounded buffer in both", "reference", 3, "-"),
)
