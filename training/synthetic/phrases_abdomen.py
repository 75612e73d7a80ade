"""Wordings of abdominal findings, our own. Format: see `sentences.parse`."""

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

hepatic_cyst
+ {A_size} simple cyst lies in {location} of the liver.
+ There is {a_size} hepatic cyst in the {lobe}.
+ The liver contains a fluid-attenuation cyst measuring {size}.
++ The liver contains {count} cysts, the largest {size} in {location}.
++ Several simple hepatic cysts are present, up to {size}.
- No hepatic cyst.
- The liver contains no cystic lesion.
- Hepatic cysts are not seen.
? {A_size} hypodensity in {location} of the liver is too small to characterise but may be a cyst.
? Possible hepatic cyst in the {lobe}.
= Benign hepatic cysts.

liver_metastases
+ There is {a_size} ill-defined hypodense liver lesion in {location}, suspicious for a metastasis.
+ {A_size} hypoattenuating hepatic metastasis is seen in the {lobe}.
++ The liver contains {count} hypodense metastases, the largest {size} in {location}.
++ Multiple hypoattenuating hepatic lesions up to {size}, consistent with metastatic disease.
++ Both the pattern and the number of the hypodense liver lesions indicate metastases; the largest measures {size}.
- No hepatic metastasis.
- There is no liver lesion suspicious for metastatic disease.
- The liver shows no evidence of metastases.
? Indeterminate hypodense liver lesions up to {size}; metastases cannot be excluded.
? {A_size} hypodense lesion in {location} is possibly a metastasis.
= Hepatic metastases.

hypervascular_liver_mass
+ There is {a_size} hypervascular mass in {location} of the liver, suspicious for hepatocellular carcinoma.
+ {A_size} liver mass in the {lobe} shows an enhancement pattern of hepatocellular carcinoma.
++ The liver contains {count} masses suspicious for hepatocellular carcinoma, the largest {size}.
- No hypervascular liver mass.
- There is no liver mass suspicious for hepatocellular carcinoma.
- No hyperenhancing mass is identified in the liver.
? {A_size} lesion in {location} of the liver is indeterminate; hepatocellular carcinoma is possible.
? Possible hypervascular lesion in the {lobe} of the liver, {size}.
= Liver mass of {size}, suspicious for hepatocellular carcinoma.

hepatic_hemangioma
+ {A_size} haemangioma lies in {location} of the liver.
+ There is {a_size} liver lesion in the {lobe} that is typical of a haemangioma.
+ Hepatic haemangioma in {location}, {size}.
- No hepatic haemangioma.
- There is no haemangioma of the liver.
- The liver shows no vascular lesion.
? {A_size} lesion in {location} of the liver probably represents a haemangioma.
? Possible small haemangioma in the {lobe} of the liver.
= Hepatic haemangioma.

hepatic_steatosis
+ The liver shows {severity} diffuse fatty infiltration.
+ Diffusely decreased hepatic attenuation consistent with {severity} steatosis.
+ {Severity} hepatic steatosis.
- No hepatic steatosis.
- The attenuation of the liver is normal, without fatty infiltration.
- There is no evidence of fatty liver disease.
? Hepatic attenuation is borderline low; steatosis is possible.
? Questionable mild fatty infiltration of the liver.
= Hepatic steatosis.

cirrhosis
+ The liver has a nodular contour, consistent with cirrhosis.
+ Cirrhotic liver with a shrunken right lobe and nodular surface.
+ There are morphological signs of liver cirrhosis.
- The hepatic contour is smooth, without signs of cirrhosis.
- There is no evidence of cirrhosis.
- No nodularity of the liver surface.
? The liver contour is slightly irregular; early cirrhosis cannot be excluded.
? Possible cirrhotic change of the liver.
= Cirrhosis.

hepatomegaly
+ The liver is enlarged, measuring {size} in craniocaudal length.
+ Hepatomegaly with a liver volume of about {volume}.
+ There is {severity} enlargement of the liver.
- No hepatomegaly.
- The liver is not enlarged.
- Liver size is within normal limits.
? The liver is of borderline size.
? Possible mild hepatomegaly.
= Hepatomegaly.

splenomegaly
+ The spleen is enlarged, measuring {size}.
+ Splenomegaly with a craniocaudal length of {size}.
+ There is {severity} enlargement of the spleen.
- No splenomegaly.
- The spleen is not enlarged.
- Spleen size is within normal limits.
? The spleen is of borderline size.
? Possible mild splenomegaly.
= Splenomegaly.

splenic_lesion
+ There is {a_size} hypodense lesion in the {location} of the spleen.
+ {A_size} hypoattenuating splenic lesion is present.
++ The spleen contains {count} hypodense lesions, the largest {size}.
++ Several hypoattenuating splenic lesions measure up to {size}.
- No focal splenic lesion.
- The spleen is homogeneous.
- There is no lesion in the spleen.
? {A_size} splenic hypodensity is indeterminate.
? Questionable hypodense lesion in the {location} of the spleen.
= Hypodense splenic lesion.

splenic_granuloma
+ There is a calcified granuloma in the {location} of the spleen.
+ A small calcification in the spleen is consistent with an old granuloma.
++ The spleen contains {count} calcified granulomas.
++ Several punctate splenic calcifications indicate old granulomatous disease.
- No splenic calcification.
- There are no granulomas in the spleen.
- The spleen is free of calcification.
? A tiny density in the spleen may be a calcified granuloma.
? Possible splenic granuloma.
= Calcified splenic granulomas.

pancreatic_mass
+ There is {a_size} hypoenhancing mass in the {location} of the pancreas.
+ {A_size} pancreatic mass is suspicious for adenocarcinoma.
+ A mass of the pancreatic {location} measures {size}.
- No pancreatic mass.
- The pancreas shows no focal mass.
- There is no evidence of a pancreatic tumour.
? Subtle fullness of the pancreatic {location} of {size}; a mass is not excluded.
? Possible {size} mass in the {location} of the pancreas.
= Pancreatic mass of {size}, suspicious for malignancy.

pancreatic_cyst
+ There is {a_size} cystic lesion in the {location} of the pancreas.
+ {A_size} cyst of the pancreatic {location} is present.
++ The pancreas contains {count} cysts, the largest {size}.
- No pancreatic cyst.
- The pancreas contains no cystic lesion.
- Cystic lesions of the pancreas are not seen.
? A tiny pancreatic hypodensity of {size} may be a cyst.
? Possible cystic lesion in the {location} of the pancreas.
= Pancreatic cyst.

pancreatic_duct_dilatation
+ The main pancreatic duct is dilated to {size}.
+ There is dilatation of the pancreatic duct, measuring {size}.
+ Pancreatic duct ectasia up to {size}.
- The pancreatic duct is not dilated.
- No dilatation of the main pancreatic duct.
- There is no pancreatic ductal dilatation.
? The pancreatic duct appears prominent.
? Possible mild dilatation of the pancreatic duct.
= Dilated pancreatic duct.

pancreatic_atrophy
+ The pancreas is atrophic with fatty replacement.
+ There is diffuse atrophy of the pancreas.
+ Fatty atrophy of the pancreatic parenchyma.
- No pancreatic atrophy.
- The pancreas has normal bulk.
- There is no loss of pancreatic parenchyma.
? The pancreas is thin, possibly early atrophy.
? Questionable fatty atrophy of the pancreas.
= Pancreatic atrophy.

gallstones
+ The gallbladder contains {a_size} stone.
+ Cholelithiasis with {a_size} calcified gallstone.
++ The gallbladder contains {count} stones up to {size}.
++ Multiple calcified gallstones, the largest {size}.
- No gallstones.
- There is no cholelithiasis.
- No calcified stone in the gallbladder.
? Faint density in the gallbladder may represent a small stone or sludge.
? Possible cholelithiasis.
= Cholelithiasis.

gallbladder_wall_thickening
+ The gallbladder wall is thickened to {size}.
+ There is gallbladder wall thickening of {size}.
+ Thickened gallbladder wall with pericholecystic stranding.
- The gallbladder wall is not thickened.
- No gallbladder wall thickening.
- The wall of the gallbladder is thin.
? The gallbladder wall appears mildly prominent.
? Possible gallbladder wall thickening.
= Gallbladder wall thickening.

absent_gallbladder
+ The gallbladder is surgically absent.
+ Status post cholecystectomy.
+ The gallbladder has been removed.
- The gallbladder is present.
- The gallbladder is in place.
? The gallbladder is not identified and may be contracted or absent.
? Probable prior cholecystectomy.
= Status post cholecystectomy.

biliary_dilatation
+ There is {severity} intrahepatic biliary dilatation.
+ The intrahepatic bile ducts are dilated.
+ {Severity} dilatation of the intrahepatic bile ducts.
- No biliary dilatation.
- The bile ducts are not dilated.
- There is no intra- or extrahepatic biliary ductal dilatation.
? The intrahepatic ducts are minimally prominent.
? Possible mild biliary dilatation.
= Intrahepatic biliary dilatation.

adrenal_nodule
+ There is {a_size} nodule of the {side} adrenal gland.
+ {A_size} {side} adrenal nodule is present.
+ The {side} adrenal gland is replaced by a nodule measuring {size}.
- No adrenal nodule.
- Both adrenal glands are slender.
- The adrenal glands show no mass.
-s The {side} adrenal gland shows no nodule.
? The {side} adrenal gland is thickened; a small nodule is possible.
? Questionable {size} nodule of the {side} adrenal gland.
= {Side} adrenal nodule of {size}.

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
