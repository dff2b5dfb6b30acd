"""What the tables made of benchmarks share: names of networks, and numbers."""

NAMES = {
    "janner": "Janner U-Net", "half_janner": "half Janner U-Net", "chi": "Chi U-Net", "chi10": "Chi U-Net",
    "chi_tf": "Chi transformer", "dp_dit": "DiT, PushT", "dd_dit": "DiT, hopper", "dd_cfg": "Decision Diffuser",
    "idql": "IDQL MLP", "dql": "DQL MLP", "twin_q": "twin Q", "resnet18": "ResNet-18",
}


def number(x, digits=3):
    """Three digits that count; a dash for what is not known."""
    return "-" if x is None else f"{x:.{digits}g}" if x < 10 ** digits else f"{x:.0f}"
