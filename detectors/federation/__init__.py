"""Learning together with other gateways, none of which sees an event of another: sums of counts are exchanged.

``space`` (features, levels, histograms), ``structure`` (the public forest), ``sums`` (merging), ``forest`` (scores),
``commands`` (``guard model merge`` and ``guard model federation``). Imports nothing by itself: the command line names
this room also where numpy is not installed.
"""
