"""Wordings of findings of kidneys, bladder, prostate, peritoneum and gut, our own. Format: see `wording.parse`."""

TEXT = """
renal_cyst
+ There is {a_size} simple cyst in the {location} of the {side} kidney.
+ {A_size} fluid-attenuation cyst arises from the {side} kidney.
+ The {side} kidney contains {a_size} cortical cyst without enhancing components.
+ Simple cyst of the {side} kidney, {size}.
++ The {side} kidney has {count} simple cysts, the largest measuring {size}.
++ Multiple fluid-attenuation cysts of the {side} kidney, up to {size} in the {location}.
- No renal cyst is seen.
- Neither kidney contains a cyst.
- The kidneys are free of cystic lesions.
-s No cyst in the {side} kidney.
? {A_size} hypodensity in the {side} kidney, too small to characterise, may be a cyst.
? Possible {size} cyst in the {location} of the {side} kidney.
= {Side} renal cyst.

renal_mass
+ There is {a_size} solid enhancing mass in the {location} of the {side} kidney.
+ {A_size} heterogeneous mass arises from the {side} kidney, suspicious for renal cell carcinoma.
+ Solid tumour of the {side} kidney measuring {size}.
- No solid renal mass.
- There is no suspicious renal mass on either side.
- The kidneys show no tumour.
-s The {side} kidney shows no solid mass.
? {A_size} lesion of the {side} kidney cannot be classified; a solid mass is not excluded.
? Questionable solid lesion in the {location} of the {side} kidney, {size}.
= {Side} renal mass of {size}, suspicious for malignancy.

kidney_stone
+ There is {a_size} calculus in the {location} of the {side} kidney.
+ {A_size} stone lies in the {side} renal collecting system.
+ Nephrolithiasis on the {side} with {a_size} stone.
++ The {side} kidney contains {count} calculi, the largest {size}.
++ Multiple {side} renal stones measuring up to {size}.
- No renal calculi.
- There is no nephrolithiasis.
- No stone is identified in either kidney.
-s No calculus in the {side} kidney.
? A faint {size} density in the {side} kidney may represent a stone.
? Possible tiny calculus in the {location} of the {side} kidney.
= {Side} nephrolithiasis.

hydronephrosis
+ There is {severity} hydronephrosis of the {side} kidney.
+ The {side} renal pelvis is dilated to {size} with {severity} caliectasis.
+ {Severity} {side}-sided hydronephrosis.
- No hydronephrosis.
- The collecting systems are not dilated.
- There is no evidence of urinary obstruction on either side.
-s The {side} collecting system is not dilated.
? The {side} renal pelvis is prominent; mild hydronephrosis is possible.
? Questionable {severity} dilatation of the {side} collecting system.
= {Severity} {side} hydronephrosis.

absent_kidney
+ The {side} kidney is surgically absent.
+ Status post {side} nephrectomy.
+ No {side} kidney is present; the renal bed is empty.
- Both kidneys are present.
- The kidneys are in place on both sides.
? The {side} kidney is not identified and may be absent or severely atrophic.
? Probable prior {side} nephrectomy.
= Status post {side} nephrectomy.

bladder_stone
+ There is {a_size} stone in the urinary bladder.
+ {A_size} calculus lies dependently in the bladder.
++ The urinary bladder contains {count} stones up to {size}.
- No bladder stone.
- The urinary bladder contains no calculi.
- There is no stone in the bladder.
? A small dependent density in the bladder may be a stone.
? Possible bladder calculus.
= Bladder stone.

bladder_wall_thickening
+ The bladder wall is thickened to {size}.
+ There is diffuse thickening of the urinary bladder wall, {size}.
+ Circumferential bladder wall thickening.
- The bladder wall is not thickened.
- No bladder wall thickening.
- The urinary bladder is thin-walled.
? The bladder wall appears mildly thickened, possibly from underdistension.
? Possible bladder wall thickening.
= Bladder wall thickening.

prostatomegaly
+ The prostate is enlarged.
+ Prostatomegaly with a volume of about {volume}.
+ There is {severity} enlargement of the prostate gland.
- The prostate is not enlarged.
- No prostatomegaly.
- Prostate size is normal.
? The prostate is of borderline size.
? Possible mild prostatic enlargement.
= Prostatomegaly.

prostate_calcification
+ There is a coarse calcification in the prostate.
++ The prostate contains {count} calcifications.
++ Coarse prostatic calcifications are present.
- No prostatic calcification.
- The prostate contains no calcifications.
- There are no calcifications in the prostate.
? A faint density in the prostate may be a calcification.
? Possible prostatic calcification.
= Prostatic calcifications.

ascites
+ There is {a_severity} amount of ascites.
+ {Severity} volume of free intraperitoneal fluid.
+ Ascites around the liver and in the pelvis, {severity} in amount.
- No ascites.
- There is no free fluid in the abdomen.
- No intraperitoneal fluid collection.
? A trace of fluid in the abdomen is possible.
? Questionable small amount of ascites.
= Ascites.

free_air
+ There is free intraperitoneal air.
+ Pneumoperitoneum with gas anterior to the liver and bowel.
+ Free air collects beneath the anterior abdominal wall.
- No free air.
- There is no pneumoperitoneum.
- No extraluminal gas in the abdomen.
? Tiny gas bubbles near the abdominal wall; free air cannot be excluded.
? Possible minimal pneumoperitoneum.
= Pneumoperitoneum.

small_bowel_obstruction
+ Dilated, fluid-filled small bowel loops up to {size}, consistent with obstruction.
+ There is small bowel obstruction with loops measuring up to {size}.
+ The small bowel is {severity}ly distended, indicating obstruction.
- No small bowel obstruction.
- The small bowel is not dilated.
- There is no evidence of ileus.
? Mildly prominent small bowel loops; partial obstruction is possible.
? Possible early small bowel obstruction.
= Small bowel obstruction.

fecal_loading
+ There is a large amount of stool throughout the colon.
+ The colon is loaded with faeces, consistent with constipation.
+ Marked faecal loading of the colon.
- No faecal loading.
- The amount of stool in the colon is normal.
- There is no evidence of constipation.
? The stool burden of the colon is borderline.
? Possible constipation.
= Faecal loading of the colon.

diverticulosis
+ There is diverticulosis of the left colon.
+ Multiple diverticula of the descending and sigmoid colon.
+ The sigmoid colon shows diverticulosis without inflammation.
- No diverticulosis.
- No colonic diverticula are seen.
- The colon is free of diverticula.
? A few outpouchings of the sigmoid may be diverticula.
? Possible mild diverticulosis.
= Colonic diverticulosis.

hiatal_hernia
+ There is {a_severity} hiatal hernia.
+ {Severity} sliding hernia of the stomach through the hiatus, measuring {size}.
+ A part of the stomach lies above the diaphragm, {severity} hiatal hernia.
- No hiatal hernia.
- The stomach lies below the diaphragm.
- There is no hernia at the oesophageal hiatus.
? The distal oesophagus is patulous; a small hiatal hernia is possible.
? Questionable hiatal hernia.
= {Severity} hiatal hernia.

abdominal_lymphadenopathy
+ There is an enlarged retroperitoneal lymph node of {size}.
++ Enlarged retroperitoneal lymph nodes measure up to {size}.
++ There is retroperitoneal lymphadenopathy with nodes up to {size}.
++ The para-aortic lymph nodes are enlarged, the largest {size}.
- No abdominal lymphadenopathy.
- There are no enlarged retroperitoneal lymph nodes.
- Abdominal lymph nodes are not enlarged.
? Borderline retroperitoneal lymph nodes.
? Possible para-aortic lymphadenopathy.
= Retroperitoneal lymphadenopathy.

anasarca
+ There is diffuse subcutaneous oedema, consistent with anasarca.
+ Anasarca.
+ The subcutaneous fat is diffusely stranded by oedema.
- No anasarca.
- No subcutaneous oedema.
- The soft tissues of the body wall are unremarkable.
? Mild stranding of the subcutaneous fat may reflect early oedema.
? Possible body wall oedema.
= Anasarca.
"""
