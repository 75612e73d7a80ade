"""Wordings of findings of lungs, pleura, mediastinum and thyroid, our own. Format: see `wording.parse`."""

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
"""
