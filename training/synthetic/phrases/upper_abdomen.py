"""Wordings of findings of liver, bile ducts, spleen, pancreas and adrenals, our own. Format: see `wording.parse`."""

TEXT = """
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
"""
