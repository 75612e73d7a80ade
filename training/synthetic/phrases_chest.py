"""Wordings of findings of chest, vessels and bones, our own. Format: see `sentences.parse`."""

TEXT = """
lung_nodule
+ There is {a_size} {density} nodule in the {location}.
+ {A_size} pulmonary nodule is seen in the {location}.
+ The {location} contains {a_size} {density} nodule.
++ The {location} contains {count} nodules, the largest {size}.
++ Multiple pulmonary nodules in the {location} measure up to {size}.
- No pulmonary nodule.
- There are no suspicious nodules in the lungs.
- Both lungs are free of nodules.
-s No nodule in the {side} lung.
? A faint {size} density in the {location} may represent a nodule.
? Possible {size} nodule in the {location}.
= Pulmonary nodule in the {location}, {size}.

lung_mass
+ There is {a_size} mass in the {location}, suspicious for bronchogenic carcinoma.
+ {A_size} lung mass occupies the {location}.
+ Pulmonary mass of the {location} measuring {size}.
- No lung mass.
- There is no pulmonary mass.
- The lungs show no tumour.
-s There is no mass in the {side} lung.
? {A_size} opacity in the {location} is indeterminate; a mass is possible.
? Possible mass in the {location}.
= Lung mass in the {location} of {size}, suspicious for malignancy.

consolidation
+ There is {severity} consolidation in the {location} with air bronchograms.
+ {Severity} air-space consolidation of the {location}.
+ The {location} is partly consolidated.
- No consolidation.
- There is no air-space consolidation.
- Neither lung is consolidated.
-s No consolidation in the {side} lung.
? A subtle opacity in the {location} may represent early consolidation.
? Possible consolidation in the {location}.
= Consolidation in the {location}, compatible with pneumonia.

ground_glass_opacity
+ There are {severity} ground-glass opacities in the {location}.
+ {Severity} ground-glass attenuation of the {location}.
+ The {location} shows hazy ground-glass opacity.
- No ground-glass opacity.
- There are no ground-glass opacities in the lungs.
- The lungs are without ground-glass attenuation.
-s No ground-glass opacity in the {side} lung.
? Faint haziness of the {location} may represent ground-glass opacity.
? Possible ground-glass opacity in the {location}.
= Ground-glass opacities in the {location}.

atelectasis
+ There is {pattern} atelectasis in the {location}.
+ {Pattern} atelectasis of the {location}.
+ Loss of volume with {pattern} atelectasis in the {location}.
- No atelectasis.
- The lungs are without atelectasis.
- There is no atelectasis on either side.
-s No atelectasis in the {side} lung.
? Band-like opacity in the {location} is probably atelectasis.
? Possible minor atelectasis in the {location}.
= Atelectasis of the {location}.

emphysema
+ There is {severity} centrilobular emphysema.
+ {Severity} emphysematous change of both lungs, worst in the upper lobes.
+ The lungs show {severity} emphysema.
- No emphysema.
- There is no emphysematous change.
- The lung parenchyma is without emphysema.
? Subtle upper lobe lucencies may represent early emphysema.
? Possible mild emphysema.
= {Severity} emphysema.

bronchiectasis
+ There is bronchiectasis in the {location}.
+ The bronchi of the {location} are dilated and thick-walled.
+ Cylindrical bronchiectasis of the {location}.
- No bronchiectasis.
- The bronchi are not dilated.
- There is no bronchial dilatation.
-s No bronchiectasis in the {side} lung.
? The bronchi of the {location} are prominent; mild bronchiectasis is possible.
? Questionable bronchiectasis in the {location}.
= Bronchiectasis in the {location}.

pulmonary_fibrosis
+ There is subpleural reticulation with honeycombing, consistent with pulmonary fibrosis.
+ Both lung bases show fibrotic change.
+ Basal predominant pulmonary fibrosis.
- No pulmonary fibrosis.
- There are no reticular or fibrotic changes of the lungs.
- The lungs show no honeycombing.
? Subtle subpleural reticulation may be early fibrosis.
? Possible interstitial fibrosis.
= Pulmonary fibrosis.

pleural_effusion
+ There is {a_severity} {side} pleural effusion.
+ {Severity} {side}-sided pleural effusion, {size} in depth.
+ Fluid in the {side} pleural cavity, {severity} in amount.
- No pleural effusion.
- There is no pleural fluid on either side.
- The pleural spaces contain no fluid.
-s No pleural effusion on the {side}.
? Trace {side} pleural fluid is possible.
? Questionable small {side} pleural effusion.
= {Severity} {side} pleural effusion.

pneumothorax
+ There is {a_severity} {side} pneumothorax.
+ {Severity} {side}-sided pneumothorax, {size} in depth.
+ Air in the {side} pleural space, consistent with {a_severity} pneumothorax.
- No pneumothorax.
- There is no air in the pleural space.
- Neither side shows a pneumothorax.
-s No pneumothorax on the {side}.
? A thin anterior lucency on the {side} may be a small pneumothorax.
? Possible tiny {side} pneumothorax.
= {Severity} {side} pneumothorax.

mediastinal_lymphadenopathy
+ There is an enlarged mediastinal lymph node of {size}.
++ Enlarged mediastinal lymph nodes measure up to {size}.
++ There is mediastinal lymphadenopathy with nodes up to {size}.
++ The paratracheal and subcarinal nodes are enlarged, the largest {size}.
- No mediastinal lymphadenopathy.
- There are no enlarged mediastinal lymph nodes.
- Mediastinal nodes are not enlarged.
? Borderline mediastinal lymph nodes.
? Possible mediastinal lymphadenopathy.
= Mediastinal lymphadenopathy.

pulmonary_embolism
+ There are filling defects in the pulmonary arteries, diagnostic of pulmonary embolism.
+ Acute pulmonary embolism.
+ Emboli are present in the pulmonary arterial branches.
- No pulmonary embolism.
- The pulmonary arteries show no filling defect.
- There is no evidence of pulmonary embolism in the visible arteries.
? An equivocal filling defect may represent pulmonary embolism.
? Possible pulmonary embolus, limited by motion.
= Acute pulmonary embolism.

cardiomegaly
+ The heart is enlarged.
+ There is {severity} cardiomegaly.
+ Cardiomegaly with a cardiothoracic ratio of {ratio}.
- No cardiomegaly.
- The heart is not enlarged.
- Heart size is normal.
? The heart is of borderline size.
? Possible mild cardiomegaly.
= Cardiomegaly.

pericardial_effusion
+ There is {a_severity} pericardial effusion.
+ {Severity} pericardial effusion measuring {size}.
+ Pericardial fluid up to {size} thick.
- No pericardial effusion.
- There is no pericardial fluid.
- The pericardium is thin, without effusion.
? A trace of pericardial fluid is possible.
? Questionable small pericardial effusion.
= {Severity} pericardial effusion.

coronary_calcification
+ There is {severity} coronary artery calcification.
+ {Severity} calcified plaque of the coronary arteries.
+ The coronary arteries are calcified.
- No coronary artery calcification.
- The coronary arteries are not calcified.
- There is no calcified coronary plaque.
? Possible minimal coronary calcification.
? A tiny density along the anterior descending artery may be calcified plaque.
= {Severity} coronary artery calcification.

aortic_valve_calcification
+ The aortic valve is calcified.
+ There is calcification of the aortic valve leaflets.
+ Aortic valve calcification is present.
- No aortic valve calcification.
- The aortic valve is not calcified.
- There is no calcification of the aortic valve.
? Possible calcification of the aortic valve.
? Density at the aortic root may represent valve calcification.
= Aortic valve calcification.

aortic_calcification
+ There is {severity} calcified atherosclerosis of the aorta.
+ {Severity} calcified plaques of the aortic wall.
+ The aorta shows {severity} atherosclerotic calcification.
- No aortic calcification.
- The aortic wall is not calcified.
- There is no atherosclerotic calcification of the aorta.
? Possible minimal aortic wall calcification.
? A few wall densities may be early aortic plaques.
= Aortic atherosclerosis.

aortic_aneurysm
+ There is {a_size} aneurysm of the {location}.
+ Aneurysmal dilatation of the {location} to {size}.
+ The {location} is aneurysmal, measuring {size}.
- No aortic aneurysm.
- The aorta is of normal calibre.
- There is no aneurysmal dilatation of the aorta.
? The {location} is ectatic, borderline for an aneurysm.
? Possible small aneurysm of the abdominal aorta.
= Aneurysm of the {location}, {size}.

aortic_dissection
+ There is an aortic dissection, {type}, with an intimal flap.
+ {type} dissection of the aorta.
+ An intimal flap separates a true from a false lumen of the aorta.
- No aortic dissection.
- There is no intimal flap.
- The aorta shows no dissection.
? A linear density in the aorta may be artefact or an intimal flap.
? Possible aortic dissection; a gated study is advised.
= Aortic dissection, {type}.

thyroid_nodule
+ There is {a_size} hypodense nodule in the {location} of the thyroid.
+ {A_size} thyroid nodule is present.
++ The thyroid contains {count} nodules up to {size}.
- No thyroid nodule.
- The thyroid gland is homogeneous.
- There is no nodule in the thyroid.
? A subtle thyroid hypodensity of {size} may be a nodule.
? Possible nodule in the {location} of the thyroid.
= Thyroid nodule of {size}.

vertebral_compression_fracture
+ There is {a_severity} compression fracture of {level}.
+ The {level} vertebral body has lost about {loss} of its height anteriorly.
+ {Severity} wedge compression of {level}.
- No vertebral compression fracture.
- The vertebral body heights are preserved.
- There is no fracture of the visualised spine.
? Mild anterior wedging of {level} may be an old fracture or physiological.
? Possible compression fracture of {level}.
= Compression fracture of {level}.

osteopenia
+ The bones are diffusely demineralised.
+ There is osteopenia.
+ Decreased trabecular density of the spine, consistent with osteopenia.
- No osteopenia.
- Bone mineralisation is normal.
- The trabecular density of the spine is preserved.
? Bone density is borderline low.
? Possible osteopenia.
= Osteopenia.

sclerotic_bone_metastasis
+ There is {a_size} sclerotic lesion in the {bone}, suspicious for a metastasis.
+ {A_size} osteoblastic metastasis of the {bone} is present.
++ There are {count} sclerotic lesions of the {bone}, the largest {size}, consistent with metastases.
++ Multiple osteoblastic metastases up to {size} in the {bone}.
- No sclerotic bone lesion.
- There are no osteoblastic metastases.
- The bones show no sclerotic focus suspicious for metastasis.
? A small sclerotic focus in the {bone} is probably a bone island; a metastasis is not excluded.
? Indeterminate sclerotic lesion of the {bone}, {size}.
= Osteoblastic metastases.

lytic_bone_metastasis
+ There is {a_size} lytic lesion in the {bone}, suspicious for a metastasis.
+ {A_size} osteolytic metastasis of the {bone} is present.
++ There are {count} lytic lesions of the {bone}, the largest {size}, consistent with metastases.
++ Multiple osteolytic metastases up to {size} in the {bone}.
- No lytic bone lesion.
- There are no osteolytic metastases.
- The bones show no destructive lesion.
? A lucency of {size} in the {bone} is indeterminate.
? Possible lytic lesion of the {bone}.
= Osteolytic metastases.
"""

NORMAL = """
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
