"""Sentences that call an organ normal, our own: organ, colon, sentence."""

TEXT = """
lungs: The lungs are clear.
lungs: Both lungs are normally aerated.
lungs: The lung parenchyma is unremarkable.
heart: The heart is unremarkable.
heart: Heart and pericardium appear normal.
heart: Normal heart.
aorta: The aorta has a normal course and calibre.
aorta: The thoracic and abdominal aorta is unremarkable.
aorta: Normal aorta.
esophagus: The oesophagus is unremarkable.
esophagus: Normal oesophagus.
esophagus: The oesophagus is not dilated.
thyroid_gland: The thyroid gland is unremarkable.
thyroid_gland: Normal thyroid.
thyroid_gland: The visualised thyroid appears normal.
liver: The liver is normal in size and attenuation.
liver: The liver is unremarkable.
liver: Normal liver without focal abnormality.
gallbladder: The gallbladder is unremarkable.
gallbladder: Normal gallbladder.
gallbladder: The gallbladder appears normal.
spleen: The spleen is unremarkable.
spleen: Normal spleen.
spleen: The spleen is normal in size and texture.
pancreas: The pancreas is unremarkable.
pancreas: Normal pancreas.
pancreas: The pancreas enhances homogeneously and is of normal size.
adrenal_glands: The adrenal glands are unremarkable.
adrenal_glands: Both adrenal glands are normal.
adrenal_glands: Normal adrenal glands.
kidneys: The kidneys are unremarkable.
kidneys: Both kidneys are normal in size and position.
kidneys: Normal kidneys.
stomach: The stomach is unremarkable.
stomach: Normal stomach.
stomach: The stomach is normally distended.
bowel: The bowel is unremarkable.
bowel: Bowel loops are of normal calibre and wall thickness.
bowel: Normal bowel.
colon: The colon is unremarkable.
colon: Normal colon.
colon: The colon has a normal course.
urinary_bladder: The urinary bladder is unremarkable.
urinary_bladder: Normal urinary bladder.
urinary_bladder: The bladder is smoothly outlined.
prostate: The prostate is unremarkable.
prostate: Normal prostate.
prostate: The prostate appears normal.
vertebrae: The spine is unremarkable.
vertebrae: Normal alignment and structure of the vertebrae.
vertebrae: The visualised bones are unremarkable.
"""
