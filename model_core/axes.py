"""The axis letters used in every shape of this package, and the words that mean one thing.

    B  batch: windows handled together
    S  seq_len: known days that a window shows the model (250 in the published run)
    L  label_len: the last known days that the decoder starts from (125)
    P  pred_len: forecast days, the horizon (10)
    n  time steps of all windows on one axis, B · S
    W  waves: input columns (118)
    V  waves that are not a target (114)
    K  sky waves (113)
    N  bodies: nodes of the celestial graph (13)
    T  targets: Open, High, Low, Close (4)
    R  transition nodes of the base model (8)
    I  nodes that read, of any kind and number
    J  nodes that are read
    G  source graphs that are combined into one (5)
    D  model width, a common multiple of N and the heads (208)
    d  width of one node, D / N (16)
    C  celestial_dim: width of one body's state (32)
    H  attention heads (8)
    c  channels of one head, d / H or D / H
    E  width of one edge's feature vector (16)
    M  mixture components
    F  calendar features (see ``model_core.data.calendar``)

A letter has this one meaning. An axis that a single file needs is a whole word (``keys``, ``rank``, ``patches``); a
number is an axis of that length, ``*B`` any leading axes, and a leading underscore leaves the length unchecked.

wave     an input column                     body     one of the 13 celestial bodies
edge     an ordered pair of bodies           anchor   log Close of a window's last known day
horizon  the P days after the anchor         scale    mean log High − log Low of the last 20 known days
target   one of Open, High, Low, Close       displacement   (log price − anchor) / scale
"""

TARGETS = ("Open", "High", "Low", "Close")
"""The four targets in the order in which every array of this package holds them."""

# Columns of every wave table, of the dataset's and of the model's input: log prices, the time step, the sky.
OPEN, HIGH, LOW, CLOSE = range(len(TARGETS))
TIME_DELTA = len(TARGETS)
FIRST_SKY = TIME_DELTA + 1
