"""Wordings of findings of heart, aorta and skeleton, our own. Format: see `wording.parse`."""

TEXT = """
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
