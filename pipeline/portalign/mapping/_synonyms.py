"""One vocabulary for the names that porters and libraries give to the same thing.

A name becomes a tuple of canonical tokens whose last one is the tensor's role; `loose` drops the
tokens that only scaffold, `contradict` tells names that can't mean the same. Whole path segments
are translated, so an unknown name stays itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


_WRAPPERS = _set(
    "model module net network backbone base_model transformer bert roberta distilbert albert"
    " electra ernie gpt gpt2 gpt_neox llama mistral qwen2 opt vit deit t5 bart"
)
_SCAFFOLD = _WRAPPERS | _set("encoder decoder embed attn ffn linear self")
_HEADS = _set(
    "classifier head heads lm_head fc score logits output_projection embed_out linear dense out"
    " output qa_outputs"
)
_ATTENTION = r"(?:attention|attn|self_attn|self_attention|selfattention)"
_FFN = r"(?:mlp|ffn|feed_forward|feedforward)"
# Phrases of several segments, tried in order before single segments.
_PHRASES: tuple[tuple[str, str], ...] = (
    (r"(\d+)\.cell_bw\.(weight|bias)_(ih|hh)", r"\2_\3_l\1_reverse"),  # paddle's RNN aliases
    (r"(\d+)\.cell(?:_fw)?\.(weight|bias)_(ih|hh)", r"\2_\3_l\1"),
    (r"in_proj_(weight|bias)", r"qkv.\1"),
    (r"([qkv])_proj_weight", r"\1.weight"),
    (r"crossattention\.self", "cross"),
    (r"crossattention\.output\.dense", "cross.attn_out"),
    (rf"{_ATTENTION}\.self", "attn"),
    (rf"{_ATTENTION}\.output\.dense", "attn.attn_out"),
    (rf"{_ATTENTION}\.output\.(?:layernorm|layer_norm|norm)", "norm1"),
    (rf"{_ATTENTION}\.(?:c_proj|proj|dense|wo|o|out|to_out|to_out\.0)", "attn.attn_out"),
    (rf"{_FFN}\.(?:c_fc|fc1|fc_in|lin1|linear1|dense1|dense_h_to_4h|wi)", "ffn.ffn_in"),
    (rf"{_FFN}\.(?:c_proj|fc2|fc_out|lin2|linear2|dense2|dense_4h_to_h|wo)", "ffn.ffn_out"),
    (r"intermediate\.dense", "ffn.ffn_in"),
    (r"output\.dense", "ffn.ffn_out"),
    (r"output\.(?:layernorm|layer_norm|norm)", "norm2"),
    (r"(?:downsample|shortcut)\.(?:conv\d?|0)", "shortcut.0"),
    (r"(?:downsample|shortcut)\.(?:bn\d?|norm\d?|1)", "shortcut.1"),
    (r"cls\.predictions\.decoder", "head"),
    (r"(?:layers?|h|blocks?|resblocks)\.(\d+)", r"layer.\1"),
)
_COMPILED = tuple((re.compile(rf"(?<![^.]){p}(?![^.])"), to) for p, to in _PHRASES)
_SEGMENTS: dict[str, tuple[str, ...]] = {
    name: tuple(to.split("."))
    for to, names in {
        "attn": "attention attn self_attn self_attention selfattention mha",
        "cross": "cross_attn cross_attention crossattention encoder_attn encdecattention",
        "ffn": "mlp ffn feed_forward feedforward",
        "q": "q query q_proj query_proj q_lin wq to_q q_linear",
        "k": "k key k_proj key_proj k_lin wk to_k k_linear",
        "v": "v value v_proj value_proj v_lin wv to_v v_linear",
        "qkv": "qkv qkv_proj wqkv c_attn to_qkv query_key_value",
        "kv": "kv kv_proj wkv to_kv kv_linear",
        "gate_up": "gate_up gate_up_proj gate_up_fused_proj",
        "attn_out": "out_proj o_proj out_lin",
        "ffn_in": "c_fc",
        "gate": "gate_proj",
        "up": "up_proj",
        "down": "down_proj",
        "norm": "norm ln bn layernorm layer_norm batchnorm batch_norm ln_f norm_f final_norm"
        " final_layernorm",
        "norm1": "layernorm_before input_layernorm self_attn_layer_norm sa_layer_norm"
        " attention_norm",
        "norm2": "layernorm_after post_attention_layernorm output_layer_norm ffn_norm"
        " encoder_attn_layer_norm",
        "embed": "embed embeds embedding embeddings",
        "embed.norm": "layernorm_embedding word_embeddings_layernorm",
        "embed.word": "word_embeddings word_embedding embed_tokens wte tok_embeddings"
        " token_embedding token_embeddings tok_emb token_embed word_emb shared",
        "embed.position": "position_embeddings position_embedding wpe embed_positions pos_embed"
        " pos_emb positional_embedding pos_embedding position_emb",
        "embed.segment": "token_type_embeddings token_type_embedding segment_embeddings"
        " segment_embedding",
        "linear": "linear dense fc lin proj",
        "shortcut": "downsample shortcut",
        "relu": "relu",
        "dropout": "dropout drop",
        "act": "act activation act_fn intermediate_act_fn activation_fn",
    }.items()
    for name in names.split()
}
_ROLES = {
    **dict.fromkeys(("weight", "gamma", "scale", "_weight"), "weight"),
    **dict.fromkeys(("bias", "beta", "_bias"), "bias"),
    **dict.fromkeys(("running_mean", "_mean"), "running_mean"),
    **dict.fromkeys(("running_var", "_variance"), "running_var"),
}
_STANDARD = re.compile(
    r"weight|bias|running_mean|running_var|(weight|bias)_(ih|hh|hr)(_l\d+(_reverse)?)?"
)
_EXCLUSIVE: tuple[frozenset[str], ...] = tuple(
    _set(group)
    for group in (
        "q k v qkv kv attn_out ffn_in ffn_out head pooler embed shortcut",
        "gate up down",
        "word position segment",
        "encoder decoder",
        "attn cross",
        "attn ffn resid",
        "left right",
        "start end",
        "src tgt",
        "real imag",
        "mean mu var sigma logvar",
    )
)
_WHOLE = frozenset(("attn_out", "ffn_in", "ffn_out"))
_NUMBERED = re.compile(r"(.*?)_?(\d+)$")


def canonical_all(names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Canonical tokens of every name of one side, the role last.

    >>> canonical_all(["bert.encoder.layer.0.attention.self.query.weight"]).popitem()[1]
    ('encoder', 'layer', '0', 'attn', 'q', 'weight')
    """
    names = list(names)
    known = frozenset(
        ".".join(parts[:end])
        for parts in (name.lower().split(".") for name in names)
        for end in range(1, len(parts) + 1)
    )
    return {name: _canonical(name, known) for name in names}


def _canonical(name: str, known: frozenset[str]) -> tuple[str, ...]:
    segments = name.lower().split(".")
    segments = [
        _by_siblings(segments, at, known) if segment in _SIBLING_TOLD else segment
        for at, segment in enumerate(segments)
    ]
    while len(segments) > 1 and segments[0] in _WRAPPERS:
        segments = segments[1:]
    if len(segments) == 2 and segments[0] in _HEADS:
        segments[0] = "head"
    text = ".".join(segments)
    for pattern, replacement in _COMPILED:
        text = pattern.sub(replacement, text)
    *path, last = text.split(".")
    tokens = [token for segment in path for token in _tokens(segment)]
    tokens += [_ROLES[last]] if last in _ROLES else _tokens(last)
    return tuple(
        token
        for at, token in enumerate(tokens)
        if token.isdigit() or token != "".join(tokens[at - 1 : at])
    )


_SIBLING_TOLD = ("multihead_attn", "final_layer_norm")


def _by_siblings(segments: Sequence[str], at: int, known: frozenset[str]) -> str:
    """Translate names whose meaning depends on what stands beside them."""

    def beside(name: str) -> bool:
        return ".".join((*segments[:at], name)) in known

    if segments[at] == "multihead_attn":  # torch's decoder layer: the cross attention
        return "cross_attn" if beside("self_attn") else "attn"
    if beside("encoder_attn_layer_norm"):
        return "norm3"
    return "norm2" if any(part.isdigit() for part in segments[:at]) else "norm"


def token_of(word: str) -> str:
    """The canonical token of one word, the word itself if there is none or several.

    >>> token_of("query")
    'q'
    """
    found = _tokens(word.lower())
    return found[0] if len(found) == 1 else word


def _tokens(segment: str) -> list[str]:
    if segment in _SEGMENTS:
        return list(_SEGMENTS[segment])
    numbered = _NUMBERED.fullmatch(segment)
    if not numbered or not numbered[1]:
        return [segment]
    base, number = numbered[1], numbered[2]
    if base in _SEGMENTS and len(_SEGMENTS[base]) == 1:
        base = _SEGMENTS[base][0]
    if base == "linear" and number in "12":
        return ["ffn_in" if number == "1" else "ffn_out"]
    return [base + number]


def loose(tokens: Sequence[str]) -> tuple[str, ...]:
    """The tokens without those that only scaffold; the role stays.

    >>> loose(("encoder", "layer", "0", "attn", "q", "weight"))
    ('layer', '0', 'q', 'weight')
    """
    return (*(token for token in tokens[:-1] if token not in _SCAFFOLD), *tokens[-1:])


def is_standard_role(role: str) -> bool:
    """A role that many modules have (weight, bias, statistics, recurrent weights)."""
    return _STANDARD.fullmatch(role) is not None


def words(tokens: Iterable[str]) -> frozenset[str]:
    """The single words of tokens, numbers left out: what names are scored by."""
    found: set[str] = set()
    for token in tokens:
        if token in _WHOLE:
            found.add(token)
            continue
        for part in token.split("_"):
            base = _NUMBERED.sub(r"\1", part)
            found.update(_SEGMENTS.get(base, (base,)))
    return frozenset(word for word in found if word and not word.isdigit())


def contradict(left: Sequence[str], right: Sequence[str]) -> bool:
    """Whether two token paths can't name the same thing (query and key, layer 1 and layer 2).

    >>> contradict(("layer", "0", "q"), ("layer", "0", "k"))
    True
    """
    left_words, right_words = words(left), words(right)
    for group in _EXCLUSIVE:
        ours, theirs = left_words & group, right_words & group
        if ours and theirs and not ours & theirs:
            return True
    left_numbers, right_numbers = _numbers(left), _numbers(right)
    return any(
        not left_numbers[base] & right_numbers[base]
        for base in left_numbers.keys() & right_numbers.keys()
    )


def _numbers(tokens: Sequence[str]) -> dict[str, set[str]]:
    """The numbers that follow each word: ``conv2`` and ``layer.2`` alike."""
    found: dict[str, set[str]] = {}
    for at, token in enumerate(tokens):
        if token.isdigit():
            found.setdefault(f"{tokens[at - 1] if at else ''}.", set()).add(token)
        elif numbered := _NUMBERED.fullmatch(token):
            found.setdefault(numbered[1], set()).add(numbered[2])
    return found
