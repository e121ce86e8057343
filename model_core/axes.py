"""The axis letters used in every shape of this package, and the words that mean one thing.

    B  batch: windows handled together
    S  seq_len: known days that a window shows the model (250 in the published run)
    L  label_len: the last known days that the decoder starts from (125)
    P  pred_len: forecast days, the horizon (10)
    W  waves: input columns (118); K of them are sky waves (113)
    N  bodies: nodes of the celestial graph (13)
    T  targets: Open, High, Low, Close (4)
    D  model width, a common multiple of N and the heads (208)
    d  width of one node, D / N (16)
    C  celestial_dim: width of one body's state (32)
    H  attention heads (8)
    E  width of one edge's feature vector (16)
    M  mixture components
    F  calendar features (see ``model_core.data.calendar``)

wave     an input column                     body     one of the 13 celestial bodies
edge     an ordered pair of bodies           anchor   log Close of a window's last known day
horizon  the P days after the anchor         scale    mean log High − log Low of the last 20 known days
target   one of Open, High, Low, Close       displacement   (log price − anchor) / scale
"""

TARGETS = ("Open", "High", "Low", "Close")
"""The four targets in the order in which every array of this package holds them."""
