"""The wordings of report sentences, as data."""

from training.synthetic.phrases import chest, heart_and_bones, lower_abdomen, normal, upper_abdomen

FINDINGS = "\n".join((chest.TEXT, heart_and_bones.TEXT, upper_abdomen.TEXT, lower_abdomen.TEXT))
NORMAL = normal.TEXT
