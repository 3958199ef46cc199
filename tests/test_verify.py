"""What counts as the same answer. Each table holds rows `prediction  ==  gold` and `prediction  !=  gold`,
written from how models answer and how benchmark golds look; a near miss would pay a policy for nothing."""

import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import verify
from verify import extract_answer, is_equivalent, reward, rewards

ROOT = Path(__file__).resolve().parents[1]
BENCHMARKS = ROOT / "../shared/data/benchmarks"

TABLES = {}

TABLES["integers"] = r"""
42  ==  42
+42  ==  42
-7  ==  -7
−7  ==  -7
– 7  ==  -7
42.  ==  42
$42$  ==  42
\(42\)  ==  42
\[42\]  ==  42
 42  ==  42
42.0  ==  42
{42}  ==  42
(42)  ==  42
042  ==  42
\mathbf{42}  ==  42
\textbf{42}  ==  42
\text{42}  ==  42
4\,2  !=  43
42\!  ==  42
42\,  ==  42
\displaystyle 42  ==  42
42 \quad  ==  42
４２  ==  42
20161  !=  20160
7  !=  -7
42  !=  24
4 2  !=  42
42  !=  4.2
42  !=  420
-0  ==  0
0  !=  1
8996734080  ==  8996734080
8996734081  !=  8996734080
1  !=  01 1
17  !=  1,7
--7  !=  -7
3 + -10  ==  -7
7-  !=  7
\text{The answer is } 42  ==  42
the final answer is 42  ==  42
\text{the answer is not } 42  !=  42
"""

TABLES["thousands"] = r"""
1,000  ==  1000
1{,}000  ==  1000
1,\!000  ==  1000
1\,000  ==  1000
1 000  ==  1000
1~000  ==  1000
10,\!080  ==  10080
10{,}080  ==  10,\!080
58,500  ==  58500
58 500  ==  58,500
154,320,000  ==  154320000
154{,}320{,}000  ==  154,320,000
11,\! 111,\! 111,\! 100  ==  11111111100
11,111,111,100  ==  11,\! 111,\! 111,\! 100
1,234.5  ==  1234.5
\$23{,}000  ==  23000
\$32,\!348  ==  32,348
2,600  ==  2600
12{,}345  ==  12345
12\,345  ==  12345
-1,000  ==  -1000
\frac{1,000}{3}  ==  \frac{1000}{3}
1,000  !=  1
1,000  !=  1.000
1,00  !=  100
1,0000  !=  10000
1, 234  !=  1234
10,080  !=  1008
58,500  !=  58,501
12,34  !=  1234
1234,567  !=  1234567
1,234,56  !=  123456
"""

TABLES["decimals"] = r"""
0.5  ==  .5
.5  ==  0.5
0.50  ==  0.5
12.80  ==  12.8
12{.}8  ==  12.8
3{,}14  ==  3.14
-0.25  ==  -.25
.0000672  ==  0.0000672
0.0000672  ==  6.72e-5
3.21  ==  3.210
326.5  ==  326.50
24.310  ==  24.31
12.8.  ==  12.8
1.  ==  1
\approx 12.8  ==  12.8
x \approx 12.8  ==  12.8
≈ 12.8  ==  12.8
12.7  !=  12.8
12.8000001  !=  12.8
12.81  !=  12.8
12.79  !=  12.8
1.28  !=  12.8
128  !=  12.8
0.006  !=  0.06
3.14  !=  3.1416
3.1416  !=  3.14
0.33  !=  0.333
4.49  !=  4.5
12..8  !=  12.8
1.2.8  !=  12.8
-12.8  !=  12.8
0.05  !=  5
0.15  !=  15
"""

TABLES["fractions"] = r"""
\frac{1}{2}  ==  \frac{1}{2}
1/2  ==  \frac{1}{2}
\dfrac{1}{2}  ==  \frac{1}{2}
\tfrac{1}{2}  ==  \frac{1}{2}
\cfrac12  ==  \frac{1}{2}
\frac12  ==  \frac{1}{2}
\frac 12  ==  \frac{1}{2}
\frac 1 2  ==  \frac{1}{2}
\frac{1}2  ==  \frac{1}{2}
\frac1{2}  ==  \frac{1}{2}
\frac {1} {2}  ==  \frac{1}{2}
0.5  ==  \frac{1}{2}
½  ==  \frac{1}{2}
{1 \over 2}  ==  \frac{1}{2}
2/4  ==  \frac{1}{2}
\frac{2}{4}  ==  \frac{1}{2}
8/6  ==  \frac{4}{3}
4/3  ==  \frac43
\frac{64}{5}  ==  12.8
64/5  ==  12.8
64 / 5  ==  12.8
64÷5  ==  12.8
\frac{-2023}{2024}  ==  -\frac{2023}{2024}
-2023/2024  ==  -\frac{2023}{2024}
\frac{2023}{-2024}  ==  -\frac{2023}{2024}
-1./3  ==  -\frac{1}{3}
\frac{3840}{289}  ==  3840/289
\frac{1997}{2}  ==  998.5
\frac{243}{625}  ==  0.3888
\left(\frac{1}{2}\right)  ==  \frac{1}{2}
\frac{\frac{1}{2}}{3}  ==  \frac{1}{6}
\frac{1}{\frac{1}{2}}  ==  2
\frac{10}{5}  ==  2
\frac{0}{5}  ==  0
\frac{11}{36}  ==  \dfrac{11}{36}
\frac14  ==  0.25
\frac1{72}  ==  1/72
\frac 59  ==  5/9
\frac{9}{19}  ==  \frac9{19}
-\tfrac32  ==  -1.5
0.333  !=  \frac{1}{3}
0.3333333333  !=  1/3
0.67  !=  \frac{2}{3}
1.333  !=  \frac{4}{3}
\frac{2}{1}  !=  \frac{1}{2}
-\frac{1}{2}  !=  \frac{1}{2}
\frac{1}{3}  !=  \frac{1}{2}
\frac{2022}{2023}  !=  \frac{2023}{2024}
\frac{3}{56}  !=  \frac{3}{55}
\frac{1}{0}  !=  0
\frac{0}{0}  !=  0
\frac{1}{0}  !=  \frac{2}{0}
\frac{14}{3}  !=  4.67
1/23  !=  \frac{1}{2}3
\frac{3}{4}  !=  \frac{4}{3}
3/4/5  !=  3/4
\frac{}{2}  !=  \frac{1}{2}
\frac{1}  !=  1
3⁄7  ==  \frac37
\frac{m}{n} = \frac{3}{7}  ==  \frac37
m/n = 3/7  ==  \frac{3}{7}
\frac{m}{n} = \frac{3}{7}  !=  \frac{7}{3}
"""

TABLES["mixed numbers"] = r"""
1\frac{4}{5}  ==  \frac{9}{5}
1\frac{4}{5}  ==  1.8
1 \frac{4}{5}  ==  9/5
1\frac45  ==  \frac95
1 4/5  ==  1.8
1\dfrac{1}{3}  ==  \frac43
137 \frac{1}{2}  ==  137.5
137.5  ==  137 \frac{1}{2}
275/2  ==  137\frac12
22\frac{1}{2}  ==  22.5
43 \frac{7}{11}  ==  \frac{480}{11}
12 \frac{4}{5}  ==  12.8
-1\frac{1}{3}  ==  -\frac{4}{3}
1½  ==  1.5
2\frac{1}{2}\text{ hours}  ==  2.5
1\frac{1}{3}  !=  \frac{1}{3}
1\frac{4}{5}  !=  \frac{4}{5}
1\frac{4}{5}  !=  \frac{14}{5}
-1\frac{1}{3}  !=  -\frac{2}{3}
1 + \frac{4}{5}  ==  1\frac{4}{5}
1 4/5  !=  14/5
3 1/2  !=  31/2
1\frac{9}{5}  !=  \frac{9}{5}
3\left(\frac{1}{2}\right)  ==  1.5
3\left(\frac{1}{2}\right)  !=  3\frac{1}{2}
"""

TABLES["scientific notation"] = r"""
4.5e33  ==  4.5 \times 10^{33}
4.5E33  ==  4.5e33
4.5 \cdot 10^{33}  ==  4.5e33
4.5\times10^{33}  ==  4.5e33
4.5 × 10^33  ==  4.5e33
4.5 × 10³³  ==  4.5e33
4.5 * 10^33  ==  4.5e33
4.5 x 10^{33}  !=  4.5e34
45 \times 10^{32}  ==  4.5e33
4.50e33  ==  4.5e33
2.88e-19  ==  2.88 \times 10^{-19}
2.88 \times 10^{-19} \text{ J}  ==  2.88e-19
2.88\times 10^{-19}\,\mathrm{J}  ==  2.88e-19
1e-5  ==  10^{-5}
1e-5  ==  0.00001
10^{-3}  ==  0.001
10^-3  ==  0.001
7.5e7  ==  75000000
3e8  ==  300000000
3e8  ==  3 \times 10^8
8.7e8  ==  870,000,000
3.46223 \times 10^{3}  ==  3462.23
1.7e4  ==  1.70e4
10^{100}  ==  1e100
2.88e-18  !=  2.88e-19
2.88e19  !=  2.88e-19
2.89e-19  !=  2.88e-19
4.5e33  !=  4.5e32
4.5e33  !=  4.5
4.5 \times 10^{33}  !=  4.5 \times 10^{34}
4.5^{33}  !=  4.5e33
1e11  !=  1.0001e11
1.39e9  !=  1.4e9
10^{-3}  !=  10^3
10^{-3}  !=  -10^3
3e  !=  3
1.5(10)^3  ==  1500
1.5(10^3)  ==  1500
1.85 * 10**5  ==  1.85e5
1.85 \times 10^5  !=  1.853 \times 10^5
"""

TABLES["percent"] = r"""
50\%  ==  50%
50 \%  ==  50\%
50 percent  ==  50\%
50 \text{ percent}  ==  50\%
62.5\%  ==  62.5%
62.50\%  ==  62.5%
62\frac{1}{2}\%  ==  62.5%
17.5 \%  ==  17.5%
0.08  ==  $8 \%$
\frac{1}{2}  ==  50\%
0.5\%  ==  0.005
99\%  ==  0.99
100\%  ==  1
\frac{1}{3}  ==  33\frac{1}{3}\%
x = 8\%  ==  8\%
12.8\%  !=  12.8
62.5  !=  62.5%
50 percent  !=  51\%
5  !=  0.05
0.05  !=  5
5\%  !=  5
500\%  !=  0.05
5\%  !=  500
5\%  !=  0.5
50\%  !=  5
50\%  !=  51\%
0.625  !=  62.5
6250  !=  62.5\%
16.67\%  !=  16.66\%
16.67\%  !=  \frac{1}{6}
33.3\%  !=  \frac{1}{3}
33\frac{1}{3}\%  ==  \frac{1}{3}
10  !=  10\%
"""

TABLES["recurring decimals"] = r"""
0.\overline{3}  ==  \frac{1}{3}
0.\bar{3}  ==  \frac13
0.\dot{3}  ==  \frac13
0.333\ldots  ==  \frac13
0.333...  ==  1/3
0.3333\dots  ==  1/3
0.1\overline{6}  ==  \frac16
0.1666...  ==  \frac16
0.\overline{142857}  ==  \frac17
0.142857142857...  ==  \frac17
2.\overline{27}  ==  \frac{25}{11}
0.\overline{9}  ==  1
1.8\overline{3}  ==  \frac{11}{6}
.\overline{6}  ==  2/3
0.\overline{12}  ==  \frac{4}{33}
0.\overline{3}  !=  0.3
0.\overline{3}  !=  \frac{3}{10}
0.\overline{36}  !=  0.36
0.1\overline{6}  !=  0.\overline{16}
0.333...  !=  0.333
0.\overline{142857}  !=  0.142857
0.\overline{3}  !=  0.\overline{33}4
0.(3)  ==  \frac13
0.1(6)  ==  \frac16
3.(142857)  ==  \frac{22}{7}
0.(3)  !=  0.3
0.(16)  !=  \frac16
27.\overline{27}\%  ==  \frac{3}{11}
"""

TABLES["bases"] = r"""
52_8  ==  52_8
52_{8}  ==  52_8
(52)_8  ==  52_8
52_{ 8 }  ==  52_8
52_{(8)}  !=  53_8
(52_8, 3)  ==  (52_8,3)
$4210_{5}$  ==  4210_5
4210_5  ==  4210_{5}
2516_8  ==  2516_{8}
1010_2  ==  (1010)_{2}
1AF_{16}  ==  1AF_{16}
4343_6  ==  4343_{6}
4210_5  !=  4210_6
4210_5  !=  4210
4210  !=  4210_5
4201_5  !=  4210_5
52_8  !=  52_9
52_8  !=  42
40_9  !=  40
204_5  !=  205_5
1604_8  !=  1604_7
1AF_{16}  !=  1AE_{16}
1011_{\text{two}}  ==  1011_2
1011_{two}  ==  1011_{2}
2516_{\text{eight}}  ==  2516_8
2516 \text{ base } 8  ==  2516_8
2516 in base 8  ==  2516_8
255_{10}  ==  255
255_{\text{ten}}  ==  255
3A_{12}  ==  3A_{12}
1011_{\text{two}}  !=  1011_3
2516_{\text{nine}}  !=  2516_8
255_{16}  !=  255
2E_2  ==  E_2 + E_2
4210_5, 3  ==  3, 4210_5
"""

TABLES["radicals and powers"] = r"""
\sqrt2  ==  \sqrt{2}
\sqrt 2  ==  \sqrt{2}
√2  ==  \sqrt{2}
√(2)  ==  \sqrt{2}
sqrt(2)  ==  \sqrt{2}
sqrt2  ==  \sqrt{2}
2^{1/2}  ==  \sqrt{2}
2^{0.5}  ==  \sqrt2
2^{\frac{1}{2}}  ==  \sqrt2
\sqrt[2]{2}  ==  \sqrt2
\frac{2}{\sqrt2}  ==  \sqrt2
\frac{\sqrt{8}}{2}  ==  \sqrt2
\sqrt{8}  ==  2\sqrt{2}
11\sqrt2  ==  11 \sqrt{2}
11√2  ==  11\sqrt2
11*sqrt(2)  ==  11\sqrt2
11 \cdot \sqrt{2}  ==  11\sqrt2
\sqrt{2}\cdot 11  ==  11\sqrt2
\sqrt{242}  ==  11\sqrt2
3\sqrt{13}  ==  \sqrt{117}
3\sqrt{13}  ==  3 \sqrt {13}
\sqrt{51}  ==  \sqrt{3}\sqrt{17}
\frac{3\sqrt{3}}{4}  ==  \frac{3}{4}\sqrt{3}
\frac{3 \sqrt 3}{4}  ==  3\sqrt{3}/4
\frac{\sqrt{3}}{3}  ==  \frac{1}{\sqrt{3}}
\frac{9}{4\sqrt3}  ==  \frac{3\sqrt{3}}{4}
8\sqrt[3]{4}  ==  8 \cdot 4^{1/3}
\sqrt[3]{2048}  ==  8\sqrt[3]{4}
\sqrt[3]{-8}  ==  -2
\sqrt[3]{27}  ==  3
(-8)^{1/3}  ==  -2
\sqrt{16}  ==  4
\sqrt{\frac{1}{4}}  ==  0.5
\sqrt{0.25}  ==  \frac12
5 \sqrt{\frac{2}{11}}  ==  \frac{5\sqrt{22}}{11}
\sqrt{3+2\sqrt{2}}  ==  1+\sqrt{2}
\frac{1}{\sqrt{2}-1}  ==  \sqrt{2}+1
1+2\sqrt{3}  ==  2\sqrt3+1
11 \sqrt{5} + 11  ==  11(1+\sqrt5)
\frac{\sqrt{5}-1}{2}  ==  \frac{-1+\sqrt{5}}{2}
\frac{2}{1+\sqrt5}  ==  \frac{\sqrt5-1}{2}
2^{10}  ==  1024
2^10  ==  1024
2**10  ==  1024
2^{-1}  ==  0.5
2^{8/3}  ==  4\sqrt[3]{4}
2^{1009}  ==  2 \cdot 2^{1008}
4^{1/2}  ==  2
2^6 * 3^5 * 5^4  ==  9720000
(2^3)(3^4)(5^7)  ==  2^3 \cdot 3^4 \cdot 5^7
2^{3/4} \cdot 15^{1/4}  ==  \sqrt[4]{120}
10^{1 / 100}  ==  \sqrt[100]{10}
-2^2  ==  -4
(-2)^2  ==  4
2^{3^2}  ==  512
0^0  ==  1
\sqrt2  !=  \sqrt3
\sqrt2  !=  2
\sqrt{2}  !=  -\sqrt{2}
11\sqrt2  !=  11\sqrt3
11\sqrt2  !=  \sqrt{22}
11\sqrt2  !=  12\sqrt2
3\sqrt{13}  !=  \sqrt{39}
\sqrt[3]{2}  !=  \sqrt{2}
3\sqrt{2}  !=  \sqrt[3]{2}
\sqrt{23}  !=  \sqrt2 3
\sqrt{2+3}  !=  \sqrt2+3
\sqrt{3}+\sqrt{2}  !=  \sqrt{5}
1+2\sqrt{3}  !=  1-2\sqrt{3}
1+2\sqrt{3}  !=  3\sqrt{3}
2^{10}  !=  2^{11}
2^{10}  !=  20
2^{1009}  !=  2^{1008}
2^{1009}  !=  2^{1009}+1
2^{1000}+\sqrt{2}  !=  2^{1000}+\sqrt{3}
-2^2  !=  4
\sqrt{-1}  !=  1
\frac{\sqrt{5}-1}{2}  !=  \frac{\sqrt{5}+1}{2}
2^{3/4}  !=  2^3/4
8^{2/3}  ==  4
\sqrt[3]{x}  !=  \sqrt{x}
\sqrt{19-8\sqrt3}  ==  4-\sqrt3
\sqrt6 - \sqrt2\sqrt3  ==  0
\sqrt{10}-\sqrt2\sqrt5  ==  \sqrt6 - \sqrt2\sqrt3
\sqrt{2} \cdot 10^{-200}  ==  10^{-200} \cdot 2^{1/2}
\sqrt{2} \cdot 10^{-200}  !=  \sqrt{3} \cdot 10^{-200}
\frac{1}{2004!}  !=  \sqrt{\frac{1}{2004!}}
"""

TABLES["pi, e and i"] = r"""
π  ==  \pi
pi  ==  \pi
2π  ==  2\pi
2*pi  ==  2\pi
2 \pi  ==  2\pi
\pi \cdot 2  ==  2\pi
\frac{\pi}{2}  ==  \pi/2
\frac{\pi}{2}  ==  0.5\pi
\frac12 \pi  ==  \frac{\pi}{2}
-\frac{\pi}{6}  ==  \frac{-\pi}{6}
18+2\pi  ==  2(9+\pi)
18 + 2\pi  ==  2\pi + 18
288 \pi  ==  288\pi
\frac{20000}{\pi}  ==  20000/\pi
\frac{3\pi}{2} + 2  ==  \frac{3\pi+4}{2}
\pi^2  ==  \pi \pi
\frac{1}{e}  ==  e^{-1}
1 + \frac{1}{e}  ==  1+e^{-1}
\exp(2)  ==  e^2
e^{i\pi}  ==  -1
e^{\ln 2}  ==  2
6 - 5i  ==  6-5i
-5i + 6  ==  6 - 5i
6 - 5 i  ==  6-5i
1+274i  ==  274i+1
i^2  ==  -1
(1+i)^2  ==  2i
\frac{1}{i}  ==  -i
-2+2 \sqrt{3} i  ==  -2 + 2i\sqrt{3}
\sqrt{-4}  ==  2i
\ln 2 + i\pi / 3  ==  \frac{i \pi}{3} + \ln 2
\frac{4 A}{3+3 i} e^{i t}  ==  \frac{2A(1-i)}{3}e^{it}
3.14  ==  \pi
3.1416  ==  \pi
3.14159  ==  \pi
\frac{22}{7}  !=  \pi
3.15  !=  \pi
3.1415  !=  \pi
3  !=  \pi
3.1  !=  \pi
2.718  ==  e
\pi  !=  2\pi
2\pi  !=  \frac{\pi}{2}
288\pi  !=  288
288  !=  288\pi
\pi^2  !=  \pi
6-5i  !=  6+5i
6-5i  !=  -6+5i
6-5i  !=  5-6i
6 - 5i  !=  6 - 5
6+9i  !=  15
i  !=  1
e  !=  2.7
e^2  !=  2e
18+2\pi  !=  20\pi
-\frac{\pi}{6}  !=  \frac{\pi}{6}
90  !=  \frac{\pi}{2}
8 \operatorname{cis} 60^\circ  ==  4+4\sqrt{3}i
\text{cis } \frac{\pi}{3}  ==  e^{i\pi/3}
8 \operatorname{cis} 60^\circ  !=  4-4\sqrt{3}i
e^{-300}  ==  \frac{1}{e^{300}}
e^{-300}  !=  e^{-301}
e^{-300}  !=  0
\cos\frac{\pi}{2}+5  ==  5
"""

TABLES["decimals for irrational numbers"] = r"""
1.414  ==  \sqrt{2}
1.41  ==  \sqrt{2}
1.41421356  ==  \sqrt{2}
0.707  ==  \frac{\sqrt2}{2}
0.618  ==  \frac{\sqrt{5}-1}{2}
12.699  ==  \sqrt[3]{2048}
12.70  ==  \sqrt[3]{2048}
6366.2  ==  \frac{20000}{\pi}
\sqrt{2}  ==  1.414
8\sqrt[3]{4}  ==  12.7
0.693  ==  \ln 2
0.0183  ==  e^{-4}
4.53 \times 10^{1}  !=  \sqrt{2046}
1.415  !=  \sqrt{2}
1.4143  !=  \sqrt{2}
1.413  !=  \sqrt2
1.5  !=  \sqrt2
1  !=  \sqrt2
2  !=  \sqrt3
1.42  !=  \sqrt{2}
12.8  !=  \sqrt[3]{2048}
8\sqrt[3]{4}  !=  12.8
6366  !=  \frac{20000}{\pi}
-1.414  !=  \sqrt{2}
14.14  !=  \sqrt{2}
0.33  !=  \frac{\sqrt8}{3\sqrt{8}}
1.73  !=  \sqrt{2}+\sqrt{3}
0.707c  ==  \frac{1}{\sqrt{2}}c
0.707 \lambda_{\text{red}}  ==  \lambda_{\text {red}} / \sqrt{2}
0.708c  !=  \frac{1}{\sqrt{2}}c
0.7c  !=  \frac{1}{\sqrt{2}}c
0.333c  !=  \frac{c}{3}
0.707c  !=  \frac{1}{\sqrt{2}}d
1.41x + 1  !=  \sqrt2 x
1.58  ==  \log_2 3
1.59  !=  \log_2 3
"""

TABLES["functions"] = r"""
\ln 2  ==  \ln(2)
ln 2  ==  \ln 2
ln(2)  ==  \ln{2}
\ln 4  ==  2\ln 2
\ln\left(\frac12\right)  ==  -\ln 2
\log_2 8  ==  3
\log_{2} 8  ==  3
\log_{10} 100  ==  2
\log 100  ==  2
\lg 100  ==  2
\log _{10} 2  ==  \log_{10}2
2-\log_{10} 250  ==  \log_{10} \frac{100}{250}
\frac{\log 2}{\log 2-\log 3}  ==  \frac{\ln 2}{\ln 2 - \ln 3}
\log_2 3  ==  \frac{\ln 3}{\ln 2}
\sin 30^\circ  ==  \frac{1}{2}
\sin \frac{\pi}{6}  ==  \frac12
\sin(\pi/6)  ==  0.5
\cos 60°  ==  0.5
\tan 45^{\circ}  ==  1
\cot x  ==  \frac{\cos x}{\sin x}
\cot x  ==  \frac{1}{\tan x}
\sec x  ==  \frac{1}{\cos x}
\sin^2 x + \cos^2 x  ==  1
\sin 2x  ==  2 \sin x \cos x
\cos 2x  ==  1 - 2\sin^2 x
\sin^{-1} \frac12  ==  \arcsin \frac{1}{2}
np.arcsin(10/13)  ==  \arcsin(10/13)
\arcsin \frac{10}{13}  ==  np.arcsin(10/13)
\operatorname{arcsin}(0.5)  ==  \frac{\pi}{6}
\arctan 1  ==  \frac{\pi}{4}
\sinh 0  ==  0
5!  ==  120
\frac{5!}{3!}  ==  20
\binom{5}{2}  ==  10
{5 \choose 2}  ==  10
\dbinom52  ==  10
\binom{2n}{n}  ==  \frac{(2n)!}{n!n!}
\frac{100!}{2^{50}}  ==  \frac{100!}{4^{25}}
1 + 2004!  ==  2004! + 1
|{-3}|  ==  3
|-3|  ==  3
\left|-3\right|  ==  3
|x-1|  ==  |1-x|
\lfloor 3.7 \rfloor  ==  3
\lceil 3.2 \rceil  ==  4
\left\lfloor\frac{n}{2}\right\rfloor  ==  \lfloor n/2 \rfloor
\lceil n/2 \rceil  ==  \lfloor (n+1)/2 \rfloor
\left\lfloor\log _{2} n\right\rfloor+1  ==  1 + \lfloor \log_2 n \rfloor
\ln 2  !=  \log 2
\ln 2  !=  \ln 3
\ln 2  !=  2
\log_2 8  !=  \log_3 8
\log_2 3  !=  \log_3 2
\sin 30  !=  \frac{1}{2}
\sin x  !=  \cos x
\sin 2x  !=  2\sin x
\sin^2 x  !=  \sin x^2
\cot x  !=  \tan x
\arcsin x  !=  \frac{1}{\sin x}
5!  !=  5
5!  !=  60
\binom{5}{2}  !=  20
\binom{5}{2}  !=  \frac{5}{2}
\binom{n}{2}  !=  \binom{n}{3}
|x-1|  !=  x-1
|x|  !=  x
\sqrt{x^2}  !=  x
|-3|  !=  -3
\lfloor n/2 \rfloor  !=  \lceil n/2 \rceil
\lfloor n/2 \rfloor  !=  n/2
\lfloor x \rfloor  !=  x
\lfloor (-8)^{0.5} \cdot (-2)^{0.5} \rfloor  ==  -4
\lceil x \rceil  !=  x
\lfloor\sqrt{n-2}\rfloor  !=  \lfloor\sqrt{n-1}\rfloor
\lfloor n/7 \rfloor  !=  \lfloor (n+1)/7 \rfloor
\sqrt{4}  ==  2.0
1 + 2004!  !=  2004!
2004!  !=  2003!
\frac{100!}{2^{50}}  !=  \frac{100!}{2^{51}}
(-1)^n  !=  (-1)^{n+1}
(-1)^{n}  ==  (-1)^{n+2}
C(6,3)  ==  20
C(n,2)  ==  \frac{n(n-1)}{2}
{}_6C_3  ==  \binom{6}{3}
_6C_3  ==  20
C(6,3)  !=  15
{}_6C_3  !=  18
"""

TABLES["tuples and points"] = r"""
(1,2)  ==  (1, 2)
\left(1,2\right)  ==  (1,2)
( 3, \frac{\pi}{2} )  ==  \left( 3, \frac{\pi}{2} \right)
(3, π/2)  ==  \left( 3, \frac{\pi}{2} \right)
(6.0, 31, -1)  ==  (6,31,-1)
\left(\frac32, -13\right)  ==  \left( \frac{3}{2}, -13 \right)
(1.5,-13)  ==  \left( \frac{3}{2}, -13 \right)
(312,123,231)  ==  (312, 123, 231)
(2,251,252)  ==  $(2,251,252)$
(x,y)=(1,2)  ==  (1,2)
(x, y) = (1, 2)  ==  (1,2)
(1,-16,-4,43)  ==  (1, -16, -4, 43)
\langle 1,2\rangle  ==  (1,2)
(16,17)  ==  $(16,17)$
(3a, 2b)  ==  (3a,2b)
(45^\circ, 60^\circ)  ==  (45,60)
\bigl(1,2\bigr)  ==  (1,2)
(1;2)  ==  (1,2)
x = 1, y = 2  ==  (1,2)
x=1 \text{ and } y=2  ==  (1,2)
y = 2, x = 1  !=  (2,1)
x = 2, y = 1  !=  (1,2)
x = 1, x = 2  !=  (1,2)
(1,2)  !=  (2,1)
(1,2)  !=  [1,2]
(1,2)  !=  \{1,2\}
(1,2)  !=  (1,2,3)
(1,2)  !=  (1,2]
(1,2)  !=  1,2
(1,2)  !=  (1,-2)
(1,2)  !=  (1.2)
(1,2)  !=  12
(1,2)  !=  1
(6,31,-1)  !=  (6,31,1)
(312,123,231)  !=  312123231
(3,\frac{\pi}{2})  !=  (\frac{\pi}{2},3)
((1,2),3)  !=  (1,2,3)
(1,2)  !=  \frac{1}{2}
r = 3, \theta = \frac{\pi}{2}  ==  (3, \frac{\pi}{2})
q=3, p=2  ==  (p,q)=(2,3)
p=3, q=2  !=  (p,q)=(2,3)
(3, 90^\circ)  !=  (3, \frac{\pi}{2})
(1, \epsilon)  ==  (1,\epsilon)
"""

TABLES["sets and lists of solutions"] = r"""
1,-2  ==  -2, 1
1, -2  ==  1,-2
-2,1  ==  1,-2
1 and -2  ==  1,-2
1 or -2  ==  1,-2
1 \text{ and } -2  ==  1,-2
1 \text{ or } -2  ==  1,-2
x=1, x=-2  ==  1,-2
x = 1 \text{ or } x = -2  ==  1,-2
x=1,-2  ==  1,-2
\{1,-2\}  ==  1,-2
\{-2, 1\}  ==  \{1,-2\}
\left\{1,-2\right\}  ==  1,-2
\lbrace 1, -2 \rbrace  ==  1,-2
x \in \{1,-2\}  ==  1,-2
1; -2  ==  1,-2
3, 5, 7  ==  3,5,7
7,5,3  ==  3, 5, 7
3, 5, and 7  ==  3, 5, 7
3, 5 and 7  ==  3,5,7
$3$, $5$, $7$  ==  3,5,7
$69$,$84$  ==  84, 69
n = 2, 5, 13  ==  2,5,13
1 \pm \sqrt{19}  ==  1+\sqrt{19}, 1-\sqrt{19}
1-\sqrt{19}, 1+\sqrt{19}  ==  1 \pm \sqrt{19}
x = 1 \pm \sqrt{19}  ==  1 \pm \sqrt{19}
1 ± √19  ==  1 \pm \sqrt{19}
\pm 2  ==  2, -2
\pm 2  ==  -2, 2
\pm\frac12  ==  \frac12, -\frac12
x = \pm 2  ==  x=2 \text{ or } x=-2
\{1\pm\sqrt{5},-2\}  ==  \{-2, 1+\sqrt5, 1-\sqrt5\}
3 \pm 2 \sqrt{2}  ==  3\pm\sqrt{8}
\frac{-1 \pm \sqrt{5}}{2}  ==  \frac{-1+\sqrt5}{2}, \frac{-1-\sqrt5}{2}
1 \mp \sqrt2  ==  1 \pm \sqrt2
(1,1), (3,2)  ==  (3,2), (1,1)
\{(1,1), (3,2)\}  ==  (1,1),(3,2)
(0,0), (1,1), (2,2)  ==  \{(2,2),(1,1),(0,0)\}
$(1,8,19), (2,7,13), (4,5,7)$  ==  (4,5,7),(2,7,13),(1,8,19)
$(3,2),(-3,2),(3,-2),(-3,-2)$  ==  (3,2), (3,-2), (-3,2), (-3,-2)
f(x)=x, f(x)=2-x  ==  $f(x)=x$,$f(x)=2-x$
2-x, x  ==  $f(x)=x$,$f(x)=2-x$
0^\circ \text{ and } 360^\circ  ==  0,360
90^{\circ}, 60^{\circ}  ==  60,90
E_{2},E_{1}  ==  E_{1},E_{2}
\frac{1}{6} \pi, \frac{5}{6} \pi  ==  \frac{5\pi}{6}, \frac{\pi}{6}
\frac{2015 \cdot 2013}{4} \text{ OR } \frac{4056195}{4}  ==  \frac{4056195}{4}
\emptyset  ==  \varnothing
\{\}  ==  \emptyset
\{5\}  ==  5
41352,42351,51342  ==  51342, 42351, 41352
100, 200, 300  ==  300,  200, 100
2 or 4  !=  2
2 or 4  !=  4
2, 4  !=  2
2  !=  2, 4
2 \text{ or } 4  !=  2
\{2,4\}  !=  2
1,-2  !=  1,2
1,-2  !=  -1,2
1,-2  !=  1
1,1,2  !=  1,2
1,2  !=  1,2,2
1,2,3  !=  1,2
1,2  !=  1,2,3
3,5,7  !=  3,5,8
3,5,7  !=  357
(\pm 3, 2)  ==  (3,2), (-3,2)
(\pm 3, \pm 2)  ==  (3,2),(-3,2),(3,-2),(-3,-2)
(\pm 3, 2)  !=  (3,2)
\pm 2  !=  2
2  !=  \pm 2
\pm 2  !=  -2
\pm 2  !=  \pm 3
1 \pm \sqrt{19}  !=  1 + \sqrt{19}
1 \pm \sqrt{19}  !=  1 \pm \sqrt{17}
1 \pm \sqrt{19}  !=  -1 \pm \sqrt{19}
\{1\pm\sqrt{5},-2\}  !=  \{1\pm\sqrt{5}\}
\{1,2\}  !=  [1,2]
1,2  !=  (1,2)
(1,1),(3,2)  !=  (1,1)
(1,1),(3,2)  !=  (1,1),(2,3)
(1,1),(3,2)  !=  (1,1,3,2)
\emptyset  !=  0
\{0\}  !=  \emptyset
m=0 \text{ or } m=\frac{4}{3}  !=  \frac{4}{3}
0, \frac43  !=  \frac{4}{3}
5, 5  !=  5
x=1, y=2  !=  2
(a,b) \in \{(1,1),(3,2)\}  ==  (3,2), (1,1)
x_1 = -2, x_2 = 1  ==  1,-2
\{\{1,2\},\{3\}\}  ==  \{\{3\},\{2,1\}\}
\{\{1,2\},\{3\}\}  !=  \{1,2,3\}
\{1,2\}, \{3\}  !=  1,2,3
"""

TABLES["intervals and inequalities"] = r"""
(3,4]  ==  (3, 4]
\left(3,4\right]  ==  (3,4]
(2,\infty)  ==  (2, \infty)
(2,∞)  ==  (2,\infty)
(2,+\infty)  ==  (2,\infty)
(2, infinity)  ==  (2,\infty)
x > 2  ==  (2,\infty)
2 < x  ==  x > 2
x>2  ==  2<x
x \gt 2  ==  x>2
(-\infty, 0]  ==  (-\infty,0]
x \le 0  ==  (-\infty, 0]
x \leq 0  ==  x \le 0
x ≤ 0  ==  x \leqslant 0
x <= 0  ==  x \le 0
x \in [-2,7]  ==  [-2,7]
[-2,7]  ==  x \in [-2,7]
-2 \le x \le 7  ==  x \in [-2,7]
7 \ge x \ge -2  ==  x \in [-2,7]
1<x\le2  ==  (1,2]
(1,2]  ==  1 < x \leq 2
120 < n \leq 130  ==  n \in (120, 130]
k \geqslant 2  ==  k \ge 2
k \geq 2  ==  [2,\infty)
c < \sqrt{2}  ==  c<\sqrt2
\left(\frac{3}{5},\frac{8}{3}\right]  ==  (0.6, 8/3]
\left[ \frac{\pi^2}{8}, \frac{5 \pi^2}{4} \right]  ==  [\pi^2/8, 5\pi^2/4]
(0,9) \cup (9,36)  ==  (9,36) \cup (0,9)
(0,9)∪(9,36)  ==  (0,9) \cup (9,36)
(-\infty, 2) \cup (3, \infty)  ==  x<2 \text{ or } x>3
x < 2 or x > 3  ==  (-\infty, 2) \cup (3, \infty)
x \in (-\infty, 2) \cup (3, \infty)  ==  (-\infty,2)\cup(3,\infty)
$x \le -2$ or $x \ge 3$  ==  (-\infty,-2] \cup [3,\infty)
(-\infty, 0) \cup\{1\}  ==  $(-\infty, 0) \cup\{1\}$.
m \neq 1  ==  m \ne 1
m ≠ 1  ==  (-\infty,1)\cup(1,\infty)
\mathbb{R}  ==  (-\infty,\infty)
x \in \mathbb{R}  ==  \mathbb{R}
\mathbb{R} \setminus \{1\}  ==  (-\infty,1) \cup (1,\infty)
2x > 4  ==  x > 2
-x < -2  ==  x > 2
x - 2 > 0  ==  x > 2
\{x \mid x > 2\}  ==  (2,\infty)
\{x | 0<x<1\}  ==  (0,1)
\{x \in \mathbb{R} : x > 0\}  ==  (0,\infty)
\text{all real numbers}  ==  \mathbb{R}
\mathbb{R} - \{1\}  ==  x \ne 1
\text{no solution}  ==  \emptyset
\{x : x > 2\}  !=  (-\infty,2)
\{x \in \mathbb{N} : x < 5\}  !=  (-\infty,5)
\{2k \mid k \in \mathbb{Z}\}  ==  \{k+k | k \in \mathbb{Z}\}
\{y \mid x > 2\}  !=  (2,\infty)
\{2k \mid k \in \mathbb{Z}\}  !=  \{3k \mid k \in \mathbb{Z}\}
x < 2 \text{ and } x > 3  !=  x < 2 \text{ or } x > 3
x < 2 and x > 3  !=  (-\infty,2) \cup (3,\infty)
m \leq \sqrt{\frac{12}{n(n-1)(n+1)}}  ==  {m \leq \sqrt{\frac{12}{n(n-1)(n+1)}}}
(3,4]  !=  [3,4)
(3,4]  !=  (3,4)
(3,4]  !=  [3,4]
(3,4]  !=  (3,5]
(2,\infty)  !=  [2,\infty)
(2,\infty)  !=  (-\infty,2)
(2,\infty)  !=  (2,-\infty)
x > 2  !=  x \ge 2
x > 2  !=  x < 2
x > 2  !=  2
x > 2  !=  y > 2
x > 2  !=  x > 3
x \in [-2,7]  !=  x \in (-2,7)
-2 \le x \le 7  !=  -2 < x \le 7
1<x\le2  !=  1\le x<2
(0,9) \cup (9,36)  !=  (0,36)
(0,9) \cup (9,36)  !=  (0,9)
(0,9) \cup (9,36)  !=  (0,9], (9,36)
(-\infty, 2) \cup (3, \infty)  !=  (2,3)
m \neq 1  !=  m = 1
m \neq 1  !=  1
\neq 7  !=  7
2x > 4  !=  x < 2
2x > 4  !=  x > 4
\mathbb{R}  !=  \mathbb{Z}
[3,4]  !=  \{3,4\}
120 < n \leq 130  !=  130
"""

TABLES["regions of the line"] = r"""
x>1 \text{ and } x<3  ==  1<x<3
x > 1 and x < 3  ==  (1,3)
x \geq 1, x < 3  ==  [1,3)
x>1 \land x<3  ==  (1,3)
x < 2, x > 3  ==  x < 2 \text{ or } x > 3
x < 2 \cup x > 3  ==  (-\infty,2) \cup (3,\infty)
\{x \mid x<2 \text{ or } x>3\}  ==  (-\infty,2) \cup (3,\infty)
x \in (-\infty,2) \text{ or } x \in (3,\infty)  ==  (-\infty,2) \cup (3,\infty)
\mathbb{R} \setminus [2,3]  ==  (-\infty,2) \cup (3,\infty)
2<x<102, x \neq 12  ==  (2,12) \cup (12,102)
(2,102) \setminus \{12\}  ==  (2,12) \cup (12,102)
-1 \le a \le 3 \text{ and } a \ne 0  ==  [-1,0) \cup (0,3]
[0,1] \cup [1,2]  ==  [0,2]
(0,2) \cap [1,3]  ==  [1,2)
x \ne 0, 1  ==  \mathbb{R} \setminus \{0,1\}
x \neq 0 \text{ and } x \neq 1  ==  x \ne 0, 1
x \neq \pm 1  ==  (-\infty,-1) \cup (-1,1) \cup (1,\infty)
|x| > 1  ==  (-\infty,-1) \cup (1,\infty)
|x| \ge 2  ==  x \le -2 \text{ or } x \ge 2
|x-2| < 3  ==  (-1,5)
|2x-6| \leq 4  ==  1 \le x \le 5
|x| < \sqrt3  ==  -\sqrt3 < x < \sqrt3
|x - a| < b  ==  a-b < x < a+b
1 < |x| < 2  ==  (-2,-1) \cup (1,2)
-1 < 2x+1 < 5  ==  (-1,2)
3 - x > 1  ==  x < 2
x \ge \frac{a+b}{2}  ==  [\frac{a+b}{2}, \infty)
0^\circ < \theta < 90^\circ  ==  (0,90)
]1,2[  ==  (1,2)
]1,2]  ==  1 < x \le 2
\left[1,2\right[  ==  [1,2)
]-\infty, 1[ \cup ]3, +\infty[  ==  x < 1 \text{ or } x > 3
\left]-\frac12; \sqrt2\right[  ==  (-\frac12, \sqrt2)
x > 1 \text{ and } x < 3  !=  [1,3]
x > 1 \text{ or } x < 3  !=  (1,3)
x > 1 \text{ and } y < 3  !=  (1,3)
x > 1 \text{ and } x < 3  !=  x > 1
x > 1 \text{ and } x < 3  !=  x < 1 \text{ and } x > 3
x > 3, x < 5  !=  x < 3, x > 5
(2,102)  !=  (2,12) \cup (12,102)
[0,1) \cup (1,2]  !=  [0,2]
(-\infty,2) \cap (3,\infty)  !=  (-\infty,2) \cup (3,\infty)
x \ne 0, 1  !=  x \ne 0
x \ne 0, 1  !=  0, 1
|x| > 1  !=  (1,\infty)
|x| > 1  !=  (-\infty,-1] \cup [1,\infty)
|x| < 3  !=  x < 3
|x-2| < 3  !=  (-3,3)
|x| > 1  !=  |y| > 1
1 < |x| < 2  !=  (1,2)
x^2 < 3  !=  (-3,3)
-1 < 2x+1 < 5  !=  (-1,5)
]1,2[  !=  [1,2]
]1,2]  !=  [1,2)
x > 30^\circ  !=  x > \frac{\pi}{6}
f(x) \in [0,1]  ==  [0,1]
f(x) \in [0,1]  !=  x \in [0,1]
2x \in [-2,7]  !=  x \in [-2,7]
[-\infty, 0) \cup \{1\}  !=  (-\infty, 0) \cup \{1\}
x \in (2, \infty]  !=  (2,\infty)
"""

TABLES["systems, pieces and determinants"] = r"""
\begin{cases} x=1 \\ y=2 \end{cases}  ==  (1,2)
\begin{cases} x=1, \\ y=2 \end{cases}  ==  (x,y)=(1,2)
\left\{\begin{array}{l} x=1 \\ y=2 \end{array}\right.  ==  (1,2)
\begin{aligned} x &= 1 \\ y &= 2 \end{aligned}  ==  x = 1, y = 2
\begin{cases} y=2 \\ x=1 \end{cases}  ==  \begin{cases} x=1 \\ y=2 \end{cases}
\begin{cases} x>1 \\ x<3 \end{cases}  ==  (1,3)
\begin{cases} x^2 & x>0 \\ -x & x \le 0 \end{cases}  ==  \begin{cases} -x & x \le 0 \\ x^2 & x>0 \end{cases}
\begin{cases} x^2, & \text{if } x>0, \\ 0 & \text{otherwise} \end{cases}  ==  \begin{cases} x^2 & 0<x \\ 0 & \text{otherwise} \end{cases}
\begin{vmatrix} 1 & 2 \\ 3 & 4 \end{vmatrix}  ==  -2
\begin{vmatrix} a & b \\ c & d \end{vmatrix}  ==  ad - bc
\begin{vmatrix} 0 & 1 & 0 \\ 2 & 0 & 0 \\ 0 & 0 & 3 \end{vmatrix}  ==  -6
\left|\begin{matrix} 1 & 2 \\ 3 & 4 \end{matrix}\right|  ==  -2
\begin{cases} x=1 \\ y=2 \end{cases}  !=  (2,1)
\begin{cases} x=1 \\ y=2 \end{cases}  !=  1
\begin{cases} x=1 \\ y=2 \end{cases}  !=  \begin{cases} x=1 \\ y=3 \end{cases}
\begin{cases} x=1 \\ x=2 \end{cases}  !=  (1,2)
\begin{cases} x^2 & x>0 \\ -x & x \le 0 \end{cases}  !=  \begin{cases} x^2 & x \ge 0 \\ -x & x < 0 \end{cases}
\begin{cases} x^2 & x>0 \\ -x & x \le 0 \end{cases}  !=  x^2
\begin{vmatrix} 1 & 2 \\ 3 & 4 \end{vmatrix}  !=  2
\begin{vmatrix} 1 & 2 & 3 \\ 4 & 5 & 6 \end{vmatrix}  !=  0
\left\{\begin{aligned} & x = 1 \\ & y = 2 \end{aligned}\right.  ==  (1,2)
"""

TABLES["equations and names"] = r"""
x = 5  ==  5
x=5  ==  x = 5
5  ==  x=5
x = 5.0  ==  5
V = 12.8  ==  12.8
V=12.8 \text{ mph}  ==  12.8
m=\frac{4}{3}  ==  \frac{4}{3}
\theta = 30^\circ  ==  30
\angle ABC = 60^\circ  ==  60
AB = 7  ==  7
m+n = 85  ==  85
f(2) = 7  ==  7
P(A) = \frac13  ==  \frac{1}{3}
\cos A = \frac35  ==  \frac{3}{5}
x_1 = 5  ==  5
m_{\max} = 12  ==  12
57+39=96  ==  96
S = 2 \cdot 3 = 6  ==  6
= 6  ==  6
6 = x  ==  6
6 = x  !=  5
\text{Area} = 6  ==  6
Answer: 6  ==  6
\text{The answer is } 6  !=  7
not = 6  !=  6
\sin x = y  !=  \cos x = y
A = \pi r^2 = 9\pi  ==  9\pi
y = 2x + 3  ==  y=2x+3
2x + 3  ==  y = 2x + 3
y = 2x+3  ==  2x+3
y = 3 + 2x  ==  y = 2x+3
y = 2x+1  ==  2x - y + 1 = 0
2x - y = -1  ==  y = 2x + 1
y - 2x = 1  ==  2x - y + 1 = 0
5x - 7y + 11z + 4 = 0  ==  10x - 14y + 22z + 8 = 0
-5x + 7y - 11z - 4 = 0  ==  5x - 7y + 11z + 4 = 0
5x - 7y + 11z = -4  ==  5x - 7y + 11z + 4 = 0
y+3x-4=0  ==  y = -3x+4
\frac{x^2}{4}+\frac{y^2}{9}=1  ==  9x^2+4y^2=36
(x-1)^2+(y+2)^2=9  ==  x^2-2x+y^2+4y=4
$x^2(y^2+y-6)=0$  ==  x^2(y+3)(y-2)=0
y = -2x  ==  -2x
f(c) = n  !=  f(n) = n
g(a)=a^2  ==  a^2
f^{-1}(x)=\frac{x-1}{2}  ==  \frac{x-1}{2}
\frac{\pi}{4}+k\pi, k\in\mathbb{Z}  ==  \frac{\pi}{4}+k\pi
2\sqrt2 \approx 2.83  ==  2\sqrt{2}
\frac13 \approx 0.333  ==  \frac{1}{3}
\frac13 \approx 0.333  !=  0.333
x \equiv 3 \pmod{7}  ==  x\equiv 3 \pmod 7
3 \pmod{7}  ==  3
3 \pmod{7}  !=  3 \pmod{5}
3 \pmod{7}  !=  7
x^{-1} = 5  !=  5
f(x)=2 x  ==  2x
2x  ==  $f(x)=2 x$
f(x) = x^2  ==  f(t) = t^2
f(n)=n^{2}  ==  n^2
g(x)=x^2-2x+2  ==  (x-1)^2+1
f(n)=n, g(n)=1  ==  g(n) = 1, f(n) = n
M=2^{N-2}+1  ==  2^{N-2} + 1
X_{d}=125-1.25 P  ==  125 - 1.25P
N(n)=\left\lfloor\frac{2 n}{3}\right\rfloor+1  ==  \lfloor 2n/3 \rfloor + 1
y^{\prime}+r y-r x(t)=0  ==  y' + ry - rx(t) = 0
\frac{d x}{d t}=k x-a  ==  \frac{dx}{dt} = kx - a
MR=SRMC  ==  MR = SRMC
x = 5  !=  x = 6
x = 5  !=  y = 5
x = 5  !=  6
x = 5  !=  -5
2x = 10  !=  10
x^2 = 25  !=  25
5 = x + 1  !=  5
57+39=97  !=  96
57+39=97  !=  97
x = 5 = 7  !=  7
y = 2x + 3  !=  y = 2x - 3
y = 2x + 3  !=  y = 3x + 2
y = 2x + 3  !=  x = 2y + 3
y = 2x+1  !=  2x + y + 1 = 0
y = 2x+1  !=  2x - y - 1 = 0
2x - y + 1 = 0  !=  2x - y + 1
5x - 7y + 11z + 4 = 0  !=  5x - 7y + 11z - 4 = 0
x^2+y^2=4  !=  x^2+y^2=2
f(x)=x^2  !=  g(x)=x^2
f(x)=2x  !=  f(x)=3x
f(x)=2x  !=  2
f(x)=x,f(x)=-x  !=  f(x)=x
x = x  !=  5
y = 2x  !=  y > 2x
a=2, b=3  !=  a=3, b=2
f(x) = 1 \text{ for all } x  ==  f(x) = 1
m = n^2-n-1  ==  m_{\max} = n^2-n-1
\frac{x}{2} = 5  !=  5
\frac{1}{x} = 5  !=  5
m = n^2-n-1  !=  m_1 = n^2-n-1
45 \bmod 100  ==  45
45 \pmod{100}  ==  45 \bmod 100
x = \frac{\pi}{2} + 2\pi k, k \in \mathbb{Z}  ==  \frac{\pi}{2}+2k\pi
"""

TABLES["expressions with variables"] = r"""
x^3+3x-6  ==  x^3 + 3x - 6
3x - 6 + x^3  ==  x^3+3x-6
(x^3)+(3x)-6  ==  x^3+3x-6
x³+3x-6  ==  x^3+3x-6
x^3+3*x-6  ==  x^3+3x-6
p-q  ==  p - q
-q+p  ==  p - q
2k+2  ==  2(k+1)
2 k + 2  ==  2k+2
(a+5)(b+2)  ==  ab + 2a + 5b + 10
(b+2)(a+5)  ==  (a+5)(b+2)
5r^5  ==  5 r^{5}
6r^2-4r-24  ==  2(3r^2-2r-12)
\frac{11+9a}{20}  ==  \frac{9a+11}{20}
\frac{11}{20}+\frac{9a}{20}  ==  \frac{11+9a}{20}
x^5 - x^4 + x^3 - x^2 + x - 1  ==  (x-1)(x^4+x^2+1)
\frac{x^2-1}{x-1}  ==  x+1
\frac{x}{x-1}  ==  1+\frac{1}{x-1}
\frac{1}{(a + b)^3}  ==  (a+b)^{-3}
\frac{n(n+1)}{2}  ==  \frac{n^2+n}{2}
n(n+1)/2  ==  \frac{n(n+1)}{2}
\frac{1}{2}n(n+1)  ==  \frac{n(n+1)}{2}
2^{n}  ==  2 \cdot 2^{n-1}
(n-2) 2^{n}+1  ==  2^n(n-2)+1
\frac{1}{2 n+2}  ==  \frac{1}{2(n+1)}
-13x+3  ==  3-13x
15x - 80  ==  5(3x-16)
3R^2  ==  3 R^{2}
x^8 + x^7 + x^6 + x^5 + x^4 + x^3 + x^2 + x + 1  ==  \frac{x^9-1}{x-1}
\frac{a b}{2}  ==  \frac12 ab
ab  ==  ba
xy  ==  x y
xy  ==  x \cdot y
\sqrt{x}\sqrt{x}  ==  x
\sqrt{a}\sqrt{b}  ==  \sqrt{ab}
\frac{1}{\sqrt{x}}  ==  x^{-1/2}
\ln(ab)  ==  \ln a + \ln b
e^{x+y}  ==  e^x e^y
\frac{e^{2x}-1}{e^{x}}  ==  e^x - e^{-x}
\frac{1}{2a}(\exp{a*t} - \exp{-a*t})  ==  \frac{e^{at}-e^{-at}}{2a}
I(0) e^{-\frac{t}{R C}}  ==  I(0) e^{-t/(RC)}
x_{0} \cos (\omega t)  ==  x_0 \cos(\omega t)
m_{p} c^{2}  ==  m_p c^2
\mathbf{v}  ==  v
\vec{v}  ==  \mathbf{v}
2\mathbf{i}+3\mathbf{j}  ==  2i + 3j
\lambda_{\text {red}} / \sqrt{2}  ==  \frac{\lambda_{\text{red}}}{\sqrt2}
\theta  ==  θ
C e^{-2 t}  ==  Ce^{-2t}
\frac{d !}{2 k(d-k) !}  ==  \frac{d!}{2k(d-k)!}
m n-\lfloor m / 2\rfloor  ==  mn - \left\lfloor \frac{m}{2} \right\rfloor
2 (3e - 5)  ==  6e - 10
x^{10}  ==  x^10
1/x  ==  x^{-1}
x^{2y}  ==  (x^y)^2
2k+2  !=  2n+2
2k+2  !=  2k+1
2k+2  !=  2K+2
p-q  !=  q-p
p - q  !=  p + q
x^3+3x-6  !=  x^3-3x-6
x^3+3x-6  !=  x^3+3x+6
(a+5)(b+2)  !=  (a+2)(b+5)
ab  !=  a+b
x^2  !=  2x
x^2  !=  x_2
x_1  !=  x_2
x_1  !=  x1
5x  !=  5
5  !=  5x
2k  !=  2
2x  !=  x^2
x^{10}  !=  x^1 0
\frac{1}{2x}  !=  \frac{x}{2}
\frac{11+9a}{20}  !=  \frac{11-9a}{20}
\frac{x}{x-1}  !=  \frac{x-1}{x}
\frac{n(n+1)}{2}  !=  \frac{n(n-1)}{2}
2^{n}  !=  2n
2^{n}  !=  n^2
2^{n}-1  !=  2^{n-1}
3^{n}  !=  2^{n}
x^8+x^7+x^6+x^5+x^4+x^3+x^2+x+1  !=  x^8+x^7+x^6+x^5+x^4+x^3+x^2+x
x^{20}  !=  x^{21}
e^{-t}  !=  e^{t}
y'  !=  y
I(0) e^{t}  !=  I(0) e^{-t}
y(0)  !=  0
y'  !=  y''
\overline{z}  !=  z
\theta  !=  \phi
a  !=  A
2 r_0 \sqrt{\pi G \rho_0}  ==  \sqrt{4 \pi G \rho_{0} r_{0}^{2}}
m_pc^2  ==  m_{p} c^{2}
\frac{1/(LC)}{s^2+(R/L)s+1/(LC)}  ==  \frac{1}{L C s^{2}+R C s+1}
\frac{E_1+2E_2}{3}  ==  \frac{1}{3} E_{1}+\frac{2}{3} E_{2}
\sqrt{x^2}  !=  x
|a| b c  !=  a b c
2 r_0 \sqrt{\pi G \rho_0}  !=  \sqrt{2 \pi G \rho_{0} r_{0}^{2}}
"""

TABLES["matrices and vectors"] = r"""
\begin{pmatrix} 1 \\ 2 \end{pmatrix}  ==  \begin{pmatrix}1\\2\end{pmatrix}
\begin{bmatrix} 1 \\ 2 \end{bmatrix}  ==  \begin{pmatrix} 1 \\ 2 \end{pmatrix}
\left[\begin{matrix} 1 \\ 2 \end{matrix}\right]  ==  \begin{pmatrix} 1 \\ 2 \end{pmatrix}
\left(\begin{array}{c} 1 \\ 2 \end{array}\right)  ==  \begin{pmatrix} 1 \\ 2 \end{pmatrix}
\begin{pmatrix}-\frac{1}{3}\\\frac23\\5/3\end{pmatrix}  ==  \begin{pmatrix} -1/3 \\ 2/3 \\ 5/3 \end{pmatrix}
\frac13\begin{pmatrix} -1 \\ 2 \\ 5 \end{pmatrix}  ==  \begin{pmatrix} -1/3 \\ 2/3 \\ 5/3 \end{pmatrix}
\begin{pmatrix} -1 & 0 \\ 0 & -1 \end{pmatrix}  ==  -\begin{pmatrix} 1 & 0 \\ 0 & 1 \end{pmatrix}
\begin{pmatrix} 301 & 100 \\ -900 & -299 \end{pmatrix}  ==  \begin{bmatrix}301&100\\-900&-299\end{bmatrix}
\begin{pmatrix} 1 & 2 \\ 3 & 4 \\ \end{pmatrix}  ==  \begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}
\begin{pmatrix} 1 \\[2pt] 2 \end{pmatrix}  ==  \begin{pmatrix} 1 \\ 2 \end{pmatrix}
\begin{pmatrix} 16/49 \\ 48/49 \\ 24/49 \end{pmatrix}  ==  \frac{8}{49}\begin{pmatrix}2\\6\\3\end{pmatrix}
(-18,-49,96)  ==  \begin{pmatrix} -18 \\ -49 \\ 96 \end{pmatrix}
\langle -18,-49,96 \rangle  ==  \begin{pmatrix} -18 \\ -49 \\ 96 \end{pmatrix}
A = \begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}  ==  \begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}
\begin{pmatrix} x+1 \\ y \end{pmatrix}  ==  \begin{pmatrix} 1+x \\ y \end{pmatrix}
\begin{pmatrix} 1 \\ 2 \end{pmatrix}  !=  \begin{pmatrix} 2 \\ 1 \end{pmatrix}
\begin{pmatrix} 1 \\ 2 \end{pmatrix}  !=  \begin{pmatrix} 1 & 2 \end{pmatrix}
\begin{pmatrix} 1 \\ 2 \end{pmatrix}  !=  \begin{pmatrix} 1 \\ 2 \\ 3 \end{pmatrix}
\begin{pmatrix} 1 \\ 2 \end{pmatrix}  !=  \begin{pmatrix} 1 \\ -2 \end{pmatrix}
\begin{pmatrix} -1 & 0 \\ 0 & -1 \end{pmatrix}  !=  \begin{pmatrix} 1 & 0 \\ 0 & 1 \end{pmatrix}
\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}  !=  \begin{pmatrix} 1 & 3 \\ 2 & 4 \end{pmatrix}
\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}  !=  1,2,3,4
\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}  !=  -2
\begin{pmatrix} 1 \\ 2 \end{pmatrix}  !=  \{1,2\}
\begin{vmatrix} 1 & 2 \\ 3 & 4 \end{vmatrix}  !=  \begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}
\frac12\begin{pmatrix} 1 \\ 2 \end{pmatrix}  !=  \begin{pmatrix} 1 \\ 2 \end{pmatrix}
\begin{pmatrix} 1 \\ 2 \end{pmatrix}, 5  ==  5, \begin{pmatrix} 1 \\ 2 \end{pmatrix}
"""

TABLES["text answers"] = r"""
\text{(C)}  ==  C
C  ==  \text{(C)}
(C)  ==  \text{(C)}
\textbf{(C)}  ==  \text{(C)}
\text{C}  ==  \text{(C)}
\mathrm{C}  ==  C
\mathrm{(E)}  ==  \text{(E)}
C.  ==  C
\text{Evelyn}  ==  Evelyn
Evelyn  ==  \text{Evelyn}
evelyn  ==  \text{Evelyn}
\textbf{Evelyn}  ==  \text{Evelyn}
\text{ east}  ==  \text{east}
East  ==  \text{east}
\text{even}  ==  even
\mathrm{even}  ==  \text{even}
odd  ==  \text{odd}
Odd.  ==  \text{odd}
\text{no}  ==  No
\boxed{yes}  !=  no
Yes  ==  yes
yes.  ==  \text{Yes}
ellipse  ==  \text{ellipse}
\text{Monday}  ==  Monday
4:40 a.m.  ==  4:40 AM
4:40\text{ a.m.}  ==  4:40 a.m.
4:40 am  ==  4:40 a.m.
July 4, 2020  ==  July 4, 2020
\text{July 4}  ==  July 4
\text{parallel}  ==  parallel
\text{neither}  ==  neither
\textbf{(C) } 27  ==  \text{(C)}
\textbf{(C)}\ 27  ==  27
\textbf{(C)}\ 27  !=  28
\textbf{(C)}\ 27  !=  D
(C) (D)  !=  C
C)  ==  \text{(C)}
\text{C) } 27  ==  C
(C) 27  !=  (C) 28
(C) 27  ==  (C) 27.0
(C)-  !=  C
(C) or (D)  !=  C
\text{(D)}  !=  \text{(C)}
D  !=  C
B  !=  \text{(C)}
c  !=  C
\text{Navin}  !=  \text{Evelyn}
\text{west}  !=  \text{east}
\text{odd}  !=  \text{even}
\text{no}  !=  \text{yes}
yes  !=  no
\text{not even}  !=  \text{even}
even or odd  !=  even
\text{ellipse}  !=  \text{circle}
4:40 a.m.  !=  4:40 p.m.
4:40 a.m.  !=  4:44 a.m.
4:40 a.m.  !=  4:40
July 4  !=  July 5
2020-01-05  ==  2020-01-05
2020-01-05  !=  2020-05-01
2020-01-05  !=  2014
1/2/2020  !=  2/1/2020
CBA  !=  ABC
\text{(A) or (C)}  !=  \text{(C)}
A, C  !=  C
\text{Option B}  ==  \text{(B)}
\text{an ellipse}  ==  \text{ellipse}
The circle  ==  \text{circle}
No solution  ==  \text{no solution}
\text{Option B}  !=  \text{(C)}
\text{right triangle}  !=  \text{triangle}
\text{(B)} or 0  !=  \text{(B)}
\text{(B)} + 1  !=  \text{(B)}
(C) -3  ==  C
(C) -3  ==  -3
\text{for all } x  ==  for all x
\text{I and III}  ==  I and III
\text{I and III}  !=  \text{I and II}
"""

TABLES["units"] = r"""
90^\circ  ==  90
90°  ==  90^\circ
90^{\circ}  ==  90
90 degrees  ==  90^\circ
90 \text{ degrees}  ==  90^\circ
90\degree  ==  90^\circ
\frac{270}7\text{ degrees}  ==  \frac{270}{7}
25^{\circ} \mathrm{C}  ==  25
25°C  ==  25^{\circ} \mathrm{C}
\$5  ==  5
\$5.00  ==  5
5 \text{ dollars}  ==  \$5
\$18.90  ==  18.9
18.90\$  ==  \$18.90
{18 \text{ cm}}  ==  18
$18.90  ==  \$18.90
5.4 \text{ cents}  ==  5.4
5.4 cents  ==  5.4 \text{ cents}
12.8\text{ mph}  ==  12.8
12.8 mph  ==  12.8
12.8\,\text{mph}  ==  12.8
12.8 \text{ miles per hour}  ==  12.8
12.8 miles per hour  ==  12.8
15\mbox{ cm}^2  ==  15
15 \text{ cm}^2  ==  15\mbox{ cm}^2
15 cm^2  ==  15\mbox{ cm}^2
15 cm²  ==  15
15 \text{ square centimeters}  ==  15\mbox{ cm}^2
864 \mbox{ inches}^2  ==  864
864 \text{ in}^2  ==  864 \mbox{ inches}^2
864 \text{ square inches}  ==  864 \mbox{ inches}^2
3200 \mathrm{~cm}^{3}  ==  3200
20\text{ miles}  ==  20
20\text{ days}  ==  20 days
24\text{ divisors}  ==  24
5 \text{ m}  ==  5
5\,\mathrm{m/s}  ==  5
5 \text{ m/s}  ==  5
5 \mathrm{~m} / \mathrm{s}  ==  5
300 \mathrm{~km} / \mathrm{s}  ==  300
9.8 \text{ m/s}^2  ==  9.8
60 km/h  ==  60
1.6 \mathrm{~cm}  ==  1.6
4.5e33 \text{ ergs}  ==  4.5e33
2.88 \times 10^{-19} \mathrm{~J}  ==  2.88e-19
10 \text{ units}  ==  10
10 \text{ square units}  ==  10
12\pi \text{ cm}^2  ==  12\pi
\frac{41}{12} \text{ km}  ==  \frac{41}{12}
6 \text{ ways}  ==  6
120 people  ==  120
10¢  ==  10 \text{ cents}
5 \frac{\text{m}}{\text{s}}  ==  5 \text{ m/s}
2.5 \text{ million}  ==  2{,}500{,}000
3 pm  !=  3
\$10  !=  10 \text{ cents}
5 \text{ m}  !=  6
90^\circ  !=  91
90^\circ  !=  9
\$5  !=  \$6
15 \text{ cm}^2  !=  225
15 \text{ cm}  !=  15 \text{ cm}^2
5 \text{ km}  !=  5 \text{ m}
5 \text{ cm}^2  !=  5 \text{ cm}^3
5x \text{ cm}  !=  5
5m  !=  5
5 \text{ or something}  !=  5
12.8 \text{ mph}  !=  12
54 cents  !=  5.4 \text{ cents}
5 cents  !=  .5 cents
1 2 days  !=  12 days
20 \text{ miles}  !=  21
20 \text{ cats and dogs}  !=  20
20 \, \mathrm{m \cdot s^{-1}}  ==  20
6.67 \times 10^{-11} \, \mathrm{N \cdot m^2/kg^2}  ==  6.67e-11
8 \text{ different ways}  ==  8
8 \text{ possible values}  ==  8
20 \mathrm{m \cdot s^{-1}}  !=  20 \mathrm{m \cdot s^{-2}}
3.61 Å  ==  3.61
2.5 \text{ GPa}  ==  2.5
12 \mathrm{~kpc}  ==  12
12 \text{ kpc}  !=  12 \text{ Mpc}
20 \text{ ohms}  ==  20
5 m/s  ==  5 \text{ m/s}
9.8 m/s^2  ==  9.8
9.8 m/s^2  !=  9.8 \text{ m/s}
5 m/s  !=  5 \text{ km/h}
5 m/x  !=  5
"""

TABLES["ratios"] = r"""
3:4  ==  3:4
3 : 4  ==  3:4
1:3  ==  1: 3
3:5:7  ==  3 : 5 : 7
6:8  ==  3:4
3/4  ==  3:4
2:4:6  ==  1:2:3
1:1  ==  1 : 1
3:4  !=  4:3
3:4  !=  3:5
3:4  !=  34
3:4  !=  3,4
3:5:7  !=  3:5
3:5:7  !=  3:7:5
3:45  !=  1:15
3:45  !=  3:54
4:45\frac{3}{11}  ==  4:45\frac{3}{11}
"""

TABLES["hedges, doubts and guesses"] = r"""
5 or 7  !=  7
5 or 7  !=  5
7 or something else  !=  7
7?  !=  7
7 (?)  !=  7
\text{maybe } 7  !=  7
probably 7  !=  7
not 7  !=  7
not 0  !=  0
no 0  !=  0
\neq 7  !=  7
\ne 7  !=  7
x \neq 7  !=  7
\text{not } 7  !=  7
\lnot 7  !=  7
not 0  !=  0
no 0  !=  0
about 7  !=  8
7, 8, 9, 10  !=  7
1,2,3,4,5,6,7  !=  7
7 \text{ or } 8 \text{ or } 9  !=  8
\{1,2,\ldots,10\}  !=  7
1, 2, \dots, 10  !=  7
7/8/9  !=  7
any number  !=  7
\text{the answer}  !=  7
the answer  !=  7
\text{What is } 3+4?  !=  7
7 \text{ I think}  !=  7
7 \text{ but not sure}  !=  7
7 \text{ (unless } x = 0)  !=  7
7 \to 8  !=  7
7\ldots  !=  7
>6  !=  7
\geq 7  !=  7
at least 7  !=  7
7^*  !=  7
7;8  !=  7
7 8  !=  7
7\\8  !=  7
7 & 8  !=  7
7 \text{ (or } 8)  !=  7
\boxed{}  !=  7
answer  !=  7
none  !=  7
N/A  !=  7
"""


def rows(names=TABLES):
    """(prediction, gold, equal?) of the tables; a row that has neither '  ==  ' nor '  !=  ' is an error."""
    for name in names:
        for line in TABLES[name].strip("\n").split("\n"):
            same = "  ==  " in line
            prediction, gold = line.split("  ==  " if same else "  !=  ")
            yield pytest.param(prediction, gold, same, id=f"{name}: {line}")


@pytest.mark.parametrize("prediction, gold, same", list(rows()))
def test_the_table_says_whether_an_answer_is_the_gold_answer(prediction, gold, same):
    assert is_equivalent(prediction, gold) is same, verify.explain(prediction, gold)
    assert is_equivalent(gold, prediction) is same, "symmetric: " + verify.explain(gold, prediction)[1]


def test_the_tables_hold_at_least_600_rows_and_as_many_kinds_of_near_miss():
    table = list(rows())
    assert len(table) >= 600
    assert all(any(not r.values[2] for r in rows([name])) for name in TABLES)


# ---- extraction --------------------------------------------------------------------------------------------

EXTRACTED = [
    (r"so \boxed{5}", "5"), (r"\boxed{3} then \boxed{5}", "5"), (r"\fbox{5}", "5"), (r"\boxed 5", "5"),
    (r"\boxed 12.5 m", "12.5"), (r"\boxed {x}", "x"), (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
    (r"$\boxed{5}$.", "5"), (r"\boxed{\left\{1, 2\right.}", r"\left\{1, 2\right."),
    (r"\boxed{\{1,2\}}", r"\{1,2\}"), (r"\boxed{ 5 }", "5"), (r"\boxed{a\}b}", r"a\}b"),
    (r"\boxed{\boxed{5}}", "5"), (r"\boxed{x = \fbox{3}}", "3"), ("\\boxed{\n5\n}", "5"),
    (r"\boxed\pi", r"\pi"), (r"\boxed-3", "-3"), (r"\[ \boxed{\text{(C)}} \]", r"\text{(C)}"),
    (r"<think>\boxed{3}</think> \boxed{5}", "5"), (r"<think>\boxed{3}</think> no box", None),
    (r"\boxed{5}</think>The answer is 6.", "6"), (r"\boxed{}", None), (r"\boxed{  }", None),
    (r"\boxed{5", None), (r"\boxed{5} and \boxed{7", None), (r"\boxed{3 so \boxed{5}", "5"),
    (r"\boxed", None), ("", None), ("\n", None), (r"\boxed{5} or \boxed{7}", "5 or 7"),
    (r"$\boxed{5}$ or $\boxed{7}$", "5 or 7"), (r"\boxed{5}, \boxed{7}", "5 or 7"),
    (r"\boxed{5} \text{ or } \boxed{7}", "5 or 7"), (r"\boxed{5}. Check: \boxed{7}", "7"),
    ("\\boxed{5}\n\n\\boxed{7}", "7"), ("The answer is 5.", "5"), ("Therefore, the answer is $5$.", "$5$"),
    ("The final answer is: 12.8", "12.8"), ("Answer: 42", "42"), ("So the answer is\n5", "5"),
    ("**The answer is 5.**", "5"), ("The answer is 3. The answer is 5.", "5"), ("12.8", "12.8"),
    (r"\frac{1}{2}", r"\frac{1}{2}"), (" 5\n", "5"), ("**Answer:** 42", "42"),
    ("The answer is: **42**", "42"), ("The correct answer is (C).", "(C)"),
    (r"\boxed{5} or maybe \boxed{7}", "5 or 7"), (r"\boxed{" * 5000 + "7" + "}" * 5000, "7"),
    ("answer: " * 60, None), ("answer is" + " " * 390 + "x", "x"),
    ("The answer is 5. Wait, that is wrong.", None), ("The answer is 5, but I am not sure.", None),
    ("The answer is probably 5?", None), ("I think the answer is somewhere near 5!?", None),
    ("The answer is not 5 \\ne 6 ???", None), ("We get 5", None),
    ("First, 3+4=7, so we add 2 and get 9, which is odd.", None), ("What is 57+39?", None),
    ("The answer is 5 because 2+3=5.", None),
]


@pytest.mark.parametrize("response, answer", EXTRACTED)
def test_the_answer_is_the_last_box_or_else_a_final_sentence(response, answer):
    assert extract_answer(response) == answer


@pytest.mark.parametrize("response", [r for r, _ in EXTRACTED if "box" not in r])
def test_no_box_is_no_answer_when_the_trainer_requires_it(response):
    assert extract_answer(response, require_box=True) is None
    assert reward(response, "5", require_box=True) == 0.0


@pytest.mark.parametrize("response, gold, value", [
    (r"\boxed{96}", "96", 1.0), (r"\boxed{57+39}", "96", 0.0), (r"\boxed{57+39=96}", "96", 1.0),
    (r"\boxed{100-4}", "96", 0.0), (r"\boxed{12\cdot 8}", "96", 0.0), (r"\boxed{12(8)}", "96", 0.0),
    (r"\boxed{57+39=?}", "96", 0.0), ("57+39", "96", 0.0), (r"\boxed{1\frac13}", r"\frac{4}{3}", 1.0),
    (r"\boxed{1+\frac13}", r"\frac{4}{3}", 0.0), (r"\boxed{\frac{8}{6}}", r"\frac{4}{3}", 1.0),
    (r"\boxed{9.6\times 10^1}", "96", 1.0), (r"\boxed{1+\sqrt2}", r"\sqrt2+1", 1.0),
    (r"\boxed{2^6 \cdot 3}", r"2^6 * 3", 1.0), (r"\boxed{1+2004!}", "1 + 2004!", 1.0),
    (r"\boxed{5} or \boxed{7}", "7", 0.0), (r"\boxed{5} or \boxed{7}", "5, 7", 1.0),
    (r"\boxed{7}, \boxed{8}, \boxed{9}", "9", 0.0), (r"\boxed{\text{yes}}", "yes", 1.0),
    (r"\boxed{7 \text{ or something else}}", "7", 0.0), ("The answer is 7 or something else", "7", 0.0),
    ("The answer is not 7", "7", 0.0), ("The answer is \\neq 7", "7", 0.0),
])
def test_echoes_hedges_and_guess_lists_are_not_paid(response, gold, value):
    assert reward(response, gold) == value


# ---- the paper's rule --------------------------------------------------------------------------------------

PAPER = {
    "12.8": (r"12.8|12.80|\frac{64}{5}|64/5|12.8\text{ mph}|12.8 \text{ miles per hour}|V = 12.8|12{.}8"
             r"|$12.8$|12.8\%|12 \frac{4}{5}",
             r"12.7|13|8\sqrt[3]{4}|12.8 mph|12.8 miles per hour|\approx 12.8|12.8\,\text{mph}|12.8000001"),
    r"\frac{4}{3}": (r"4/3|\dfrac43|1\frac13|m=\frac{4}{3}|m = 4/3",
                     r"1.333|8/6|\frac{8}{6}|m=0 \text{ or } m=\frac{4}{3}"),
    "24": (r"24|24.0|24\text{ divisors}", r"2\cdot 12|4!|25"),
    r"-\frac{2023}{2024}": (r"\frac{-2023}{2024}|-\frac{2023}{2024}", r"\frac{2023}{2024}"),
    "2": (r"2 \text{ or } 4", "4"),
}


@pytest.mark.parametrize("answer, gold, value", [
    (answer, gold, value) for gold, both in PAPER.items() for value, answers in zip((1.0, 0.0), both)
    for answer in answers.split("|")])
def test_the_paper_grader_gives_the_measured_rewards(answer, gold, value):
    assert reward(f"so \\boxed{{{answer}}}", gold, grader="paper") == value


@pytest.mark.parametrize("response", ["12.8", "The answer is 12.8.", r"\boxed{12.8"])
def test_the_paper_grader_demands_a_closed_box(response):
    assert reward(response, "12.8", grader="paper") == 0.0


# ---- hostile answers ---------------------------------------------------------------------------------------

HOSTILE = [
    "9^{9^{9^{9}}}", "10^{10^{9}}", "10^{10^{10^{10}}}", "2^{2^{2^{2^{2^{2}}}}}", "9" + "^9" * 400,
    "9^{" * 500 + "9" + "}" * 500, "1e999999999", "1e9999", "1e-9999", "10^{-1000000000}", "(10^{9})!",
    "((((9!)!)!)!)!", "9!!!!!!!!!!!!!", "1000000!", "2500!^{2500!}", "2500!" * 100,
    "+".join(["1/2499!"] * 220), r"\binom{10^9}{10^8}", r"\binom{2500}{1250}^{2500}", "9" * 100_000,
    "x" * 100_000, "9" * 1999, "-" * 1999, "1+" * 999 + "1", "1-" * 999 + "1", "1/" * 999 + "1",
    "x^" * 999 + "x", "(" * 1000 + ")" * 1000, "(" * 1999, ")" * 1999, "{" * 1999, "}" * 1999, "[" * 1999,
    "|" * 1999, r"\{" * 900, "((((((((((" * 100 + "7" + "))))))))))" * 100,
    r"\sqrt{" * 500 + "7" + "}" * 500, r"\frac{1}{" * 300 + "7" + "}" * 300, r"\sin " * 400 + "7",
    r"\sqrt" * 400 + "7", "!" * 1999, r"\left(" * 300, r"\begin{pmatrix}" * 100,
    r"\begin{pmatrix}" + "&".join("1" * 500) + r"\end{pmatrix}",
    r"\begin{pmatrix}" + r"\\".join(["&".join(["1"] * 200)] * 200) + r"\end{pmatrix}", "1," * 999 + "1",
    r"\{" + "x," * 900 + r"x\}", "(1,2)," * 300 + "(1,2)", "+".join(rf"\sqrt{{{k}}}" for k in range(200)),
    "+".join(f"x_{{{k}}}^{{99}}" for k in range(150)), "(x+1)^{9999}", "(x+y+z+w)^{2000}", "x^{10^9}-1",
    r"\prod_{k=1}^{10^9} k", r"\sum_{k=1}^{100000000} k", r"\int_0^\infty e^{x^x} dx",
    r"\int \sin(\sin(\sin x)) dx", r"\lim_{n\to\infty} n", r"e^{e^{e^{e^{e}}}}",
    r"\exp(\exp(\exp(\exp(9))))", r"\sin(10^{10^{6}})", r"\tan\frac{\pi}{2}", r"\ln 0", r"\log_1 5",
    r"\log_0 5", "0^{-1}", r"\frac{1}{0}", r"\frac{0}{0}", r"\infty-\infty", r"0\cdot\infty",
    r"\lfloor \pi \cdot 10^{5000} \rfloor", r"\lfloor 10^{30000}\sqrt2 \rfloor", r"\gcd(10^{400}, 2)",
    r"2500! e^2 i \log_e 5 \log_e 7", r"10^{1200}\sqrt2+\log_3 5", "__import__('os').system('id')",
    "eval('7')", "exec('x=7')", "7; import os", "lambda: 7", "print(7)", "().__class__.__bases__",
    r"\input{/etc/passwd}", r"\write18{id}", r"\def\x{\x\x}\x", "7\x00", "\x007", "7\u200f", "\u202e7",
    "7\ufeff", "7\u200b", "7\x1b[0m", "\ud800", "🙂", "﷽" * 300, "7" + "̈" * 500, "\\", "\\\\", "{", "}", "$",
    "^", "_", "7^", "7_", "_7", "^7", "7^^7", r"\frac", r"\sqrt", r"\sqrt[", r"\frac{7}", r"\boxed{7",
    r"\text{", r"\text{7", "%", "&", "#", "~", r"\ ", "''''", "'" * 1999, r"0.\overline{}", "0..7", "7..8",
    ".", ",", ", ,", ";;;", "or", "and", "7 or", "or 7", "=", "==7==", "<7", "7 < 7", "7 = 8", "x=x=x=x",
    "<" * 999, "1<2<3<4<5<6<7", "(7]", "[7)", "7]", r"\cup", r"7\cup", r"\in 7", r"\pm" * 500 + "7",
    "+".join([r"\pm 1"] * 30), r"1\pm" * 300 + "1", "7:" * 500 + "7", "7%" * 500, r"7\%\%\%\%\%\%\%\%",
    "1_" * 500, "7_7_7_7", r"\mathbb{R} \setminus \{i\}", r"\lfloor i \rfloor", r"\sqrt{2500!}",
    "x>1 or " * 200 + "x<5", "x>1," * 300 + "x>2", "<".join(map(str, range(500))), "x<" * 900 + "x",
    "=".join(["x"] * 900), r"\mathbb{R} \setminus \{" + ",".join(map(str, range(500))) + r"\}",
    r"(1,2) \cup " * 150 + "(3,4)", "|x|>1 or " * 150 + "x>2", "|x|>" + "9" * 1900, "|2500! x| < 1",
    r"|x| < 10^{10^9}", r"|x^{10^9}| < 1", r"|x-\infty| < 1", "|x| < i", "|" * 9 + "x" + "|" * 9 + ">1",
    "]" * 1999, "]1,2[" * 300, "]1," * 400, r"\begin{cases}" * 120, r"\begin{cases} \end{cases}",
    r"\begin{cases}" + r"x=1\\" * 350 + r"\end{cases}", r"\begin{aligned}" + "&=" * 600, r"\begin{vmatrix}" * 100,
    r"\begin{vmatrix}" + r"\\".join(["&".join(["2499!x"] * 4)] * 4) + r"\end{vmatrix}", "C(2500,1250)" * 100,
    r"\begin{vmatrix}" + r"\\".join(["&".join("1" * 40)] * 40) + r"\end{vmatrix}", "{}_" * 500, "C(" * 300,
    "0.(" + "3" * 1900 + ")", "0." + "(3)" * 500, r"\text{" * 300 + "7" + "}" * 300, "the answer is " * 140,
    "(" + ",".join([r"\pm 3"] * 40) + ")", r"\{" * 20 + "1,2" + r"\}" * 20, "(" * 20 + "1" + " or 2)" * 20,
    "0.707" + "x" * 1500, "7 if x", "7 otherwise", r"\sum_{k=1}^{10} k",
    r"\sqrt[7]{2500!}", "123_{1000000}", "1 2 3 4 5 6 7", "7 " * 900, "nan", "inf", "-inf", "None", "True",
    "null", "[]", "()", "{}", "7j", "0x7", "07e0x", "1_000",
]


@pytest.mark.parametrize("answer", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_answer_is_wrong_in_no_time(answer):
    start = time.perf_counter()
    assert not is_equivalent(answer, "7") and not is_equivalent("7", answer)
    assert not is_equivalent(answer, r"\sqrt{7}+x") and not is_equivalent(answer, r"\{1, 2\} \cup (3,4)")
    assert reward(answer, "7") == reward(f"\\boxed{{{answer}", "7") == 0.0
    is_equivalent(answer, answer + " ")
    assert time.perf_counter() - start < 2


def test_all_hostile_answers_together_cost_less_than_100_megabytes():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for answer in HOSTILE:
        is_equivalent(answer, "7"), is_equivalent(answer, r"\sqrt{7}+x")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000          # kilobytes
    assert len(HOSTILE) >= 80


# ---- properties --------------------------------------------------------------------------------------------

def benchmark_golds():
    """Every gold answer of the benchmark files, where they are present."""
    for path in sorted(BENCHMARKS.glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            if path.stem == "olympiadbench":
                yield from row["final_answer"]
            elif path.stem == "minerva_math":
                yield extract_answer(row["solution"], require_box=True)
            else:
                yield str(row["answer"])


REWRITES = [
    lambda g: g + ".", lambda g: f"${g.replace('$', '')}$" if r"\$" not in g else g, lambda g: f"{{{g}}}",
    lambda g: g.replace(r"\frac", r"\dfrac").replace("ddfrac", "dfrac").replace("tdfrac", "tfrac"),
    lambda g: f" {g} ", lambda g: g.replace("-", "−"), lambda g: g + r"\!", lambda g: r"\displaystyle " + g,
    lambda g: g.replace("+", " + "), lambda g: g.replace(" = ", "="), lambda g: g.replace(r"\pi", "π"),
    lambda g: g.replace(" ", "  "),
]
UNREADABLE_GOLDS = 6        # typing errors and sentences among the golds: equal to their own text alone


@pytest.mark.skipif(not BENCHMARKS.is_dir(), reason="the benchmark files are not in ../shared/data")
def test_every_benchmark_gold_equals_its_harmless_rewritings_but_for_six_that_are_no_formulas():
    golds = sorted(set(benchmark_golds()))
    assert len(golds) > 900
    assert all(is_equivalent(gold, gold) for gold in golds)
    failing = {gold for gold in golds for rewrite in REWRITES if not is_equivalent(rewrite(gold), gold)}
    assert len(failing) <= UNREADABLE_GOLDS, failing


@pytest.mark.parametrize("rewrite", REWRITES)
def test_harmless_rewriting_changes_no_verdict_of_the_tables(rewrite):
    for row in rows(name for name in TABLES if name not in ("hedges, doubts and guesses", "decimals")):
        prediction, gold, same = row.values
        if not same or "..." not in prediction:
            assert is_equivalent(rewrite(prediction), gold) is same, (rewrite(prediction), gold)


@settings(deadline=None)
@given(st.integers(-10**30, 10**30), st.integers(1, 10**12), st.integers(1, 99))
def test_fractions_are_compared_exactly(a, b, k):
    assert is_equivalent(rf"\frac{{{a * k}}}{{{b * k}}}", f"{a}/{b}")
    assert not is_equivalent(rf"\frac{{{a * k + 1}}}{{{b * k}}}", f"{a}/{b}")


@settings(deadline=None)
@given(st.integers(-10**15, 10**15), st.integers(0, 9), st.integers(1, 9))
def test_one_wrong_digit_is_wrong(n, place, change):
    assert all(is_equivalent(same, str(n)) for same in (f"{n:,}", f"{n}.0", f"x = {n}"))
    assert not is_equivalent(str(n + change * 10**place), str(n))


@settings(deadline=None)
@given(st.lists(st.integers(-50, 50), min_size=2, max_size=6), st.randoms())
def test_lists_ignore_order_and_tuples_do_not(numbers, rng):
    shuffled = rng.sample(numbers, len(numbers))
    text, mixed = ", ".join(map(str, numbers)), ", ".join(map(str, shuffled))
    assert is_equivalent(mixed, text) and is_equivalent(rf"\{{{mixed}\}}", text)
    assert is_equivalent(f"({mixed})", f"({text})") is (shuffled == numbers)
    assert not is_equivalent(f"{text}, 99", text) and not is_equivalent(f"{text}, {numbers[0]}", text)


@settings(deadline=None)
@given(st.lists(st.integers(-9, 9), min_size=1, max_size=6))
def test_a_polynomial_equals_its_terms_in_any_order_and_no_other_polynomial(coefficients):
    terms = [f"({c})x^{{{k}}}" for k, c in enumerate(coefficients)]
    horner = "0"
    for c in reversed(coefficients):
        horner = f"({horner})x + {c}"
    assert is_equivalent("+".join(reversed(terms)), "+".join(terms))
    assert is_equivalent(horner, "+".join(terms))
    assert not is_equivalent("+".join([*terms, f"x^{{{len(terms)}}}"]), "+".join(terms))


PIECES = st.lists(st.tuples(st.integers(-5, 4), st.integers(1, 4), st.booleans(), st.booleans()), min_size=1,
                  max_size=3)                                # (low, length, closed below?, closed above?)


@settings(deadline=None)
@given(PIECES, PIECES)
def test_two_regions_are_equal_exactly_if_they_hold_the_same_multiples_of_one_half(p, q):
    def points(pieces):                                      # ends are integers: between them nothing changes
        return {x for a, n, below, above in pieces for x in range(2 * a, 2 * (a + n) + 1)
                if (x > 2 * a or below) and (x < 2 * (a + n) or above)}

    def intervals(pieces):
        return r" \cup ".join(f"{'(['[below]}{a}, {a + n}{')]'[above]}" for a, n, below, above in pieces)

    def inequalities(pieces):
        sign = ("<", r"\le")
        return " or ".join(f"{a} {sign[below]} x {sign[above]} {a + n}" for a, n, below, above in pieces)

    def conjunctions(pieces):
        sign = (">", r"\ge"), ("<", r"\le")
        return r" \text{ or } ".join(rf"(x {sign[0][below]} {a} \text{{ and }} x {sign[1][above]} {a + n})"
                                     for a, n, below, above in pieces)

    for spell in (intervals, inequalities, conjunctions):
        for other in (intervals, inequalities, conjunctions):
            assert is_equivalent(spell(p), other(p))
            assert is_equivalent(spell(p), other(q)) is (points(p) == points(q))


@settings(deadline=None)
@given(st.integers(-9, 9), st.integers(1, 9), st.integers(0, 2))
def test_an_absolute_value_below_a_number_is_the_interval_around_its_centre(c, r, more):
    inside = f"({c - r}, {c + r + more})"
    assert is_equivalent(f"|x - ({c})| < {r}", inside) is (more == 0)
    assert is_equivalent(rf"|x - ({c})| \ge {r}", rf"\mathbb{{R}} \setminus {inside}") is (more == 0)


TOKENS = r"""
    0 1 7 12 3.5 .5 1e5 1,000 + - * / ^ _ ! % ' ( ) [ ] { } | , ; : = < > & . x y n e i C \frac \sqrt
    \sqrt[3] ^{ _{ \{ \} \pi \infty \cup \in \pm \cdot \sin \log_ \ln \binom \lfloor \rfloor \begin{pmatrix}
    \end{pmatrix} \\ \text{ or and \overline{ \ldots \mathbb{R} \setminus \% \$ ^\circ \le \neq 2500!
    10^{400} \choose sqrt sin \exp (-1)^ \mid π √ ² ½ ° \unit{m} \prime \cap |x| ]1,2[ \begin{cases} \end{cases}
    \begin{vmatrix} \end{vmatrix} _{two} base C(6,3) {}_6C_3 cis if otherwise mod \ne x>1 x<3""".split()


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from([*TOKENS, " "]), max_size=60),
       st.sampled_from(["7", r"\sqrt{7}+x", "(1,2]", "x=5", "2x-y=1", "3.14"]))
def test_any_tokens_get_a_verdict_that_is_quick_and_symmetric(tokens, gold):
    text, start = "".join(tokens), time.perf_counter()
    assert is_equivalent(text, gold) is is_equivalent(gold, text)
    assert {reward(f"\\boxed{{{text}}}", gold, grader=name) for name in ("oneshot", "paper")} <= {0.0, 1.0}
    assert time.perf_counter() - start < 2


@settings(max_examples=400, deadline=None)
@given(st.sampled_from([row.values for row in rows()]), st.sampled_from([*TOKENS, ""]),
       st.integers(0, 200), st.integers(0, 3))
def test_one_edit_of_an_answer_gets_a_symmetric_verdict(row, token, place, length):
    prediction, gold, _ = row
    edited = prediction[:place] + token + prediction[place + length:]
    assert is_equivalent(edited, gold) is is_equivalent(gold, edited)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=80))
def test_any_unicode_text_gets_a_verdict(text):
    assert is_equivalent(text, "7") is is_equivalent("7", text)
    assert reward(text, "7") in (0.0, 1.0)


# ---- many at once ------------------------------------------------------------------------------------------

@pytest.fixture
def empty_cache():
    verify.VERDICTS.clear()
    yield
    verify.VERDICTS.clear()


def test_rewards_are_the_rewards_of_each_in_order(empty_cache):
    table = [row.values for row in rows(["radicals and powers", "units", "text answers", "ratios"])]
    responses, golds = [f"so \\boxed{{{p}}}" for p, _, _ in table], [g for _, g, _ in table]
    result = rewards(responses, golds)
    assert result == [reward(r, g) for r, g in zip(responses, golds)]
    assert (result.timeouts, result.errors) == (0, 0)
    assert isinstance(result, list) and set(result) == {0.0, 1.0}


def test_rewards_of_unequal_numbers_of_responses_and_golds_is_an_error():
    with pytest.raises(ValueError):
        rewards([r"\boxed{1}"], ["1", "2"])


def test_an_unknown_grader_is_an_error():
    with pytest.raises(ValueError, match="grader"):
        rewards([], [], grader="papers")


def test_plain_numbers_start_no_process(empty_cache, monkeypatch):
    monkeypatch.setattr(verify.Worker, "grade", lambda *_: pytest.fail("a worker was asked"))
    responses = [r"\boxed{96}", r"\boxed{95}", "no box here", r"\boxed{\frac{64}{5}}"]
    assert rewards(responses, ["96", "96", "96", "12.8"]) == [1, 0, 0, 1]


def test_each_distinct_pair_is_graded_once(empty_cache, monkeypatch):
    asked = []
    monkeypatch.setattr(verify.Worker, "grade", lambda self, *request: asked.append(request) or "right")
    assert rewards([r"\boxed{\sqrt{2}}"] * 100, [r"\sqrt2"] * 100) == [1.0] * 100 and len(asked) == 1
    rewards([r"\boxed{\sqrt{2}}"] * 100, [r"\sqrt2"] * 100)
    assert len(asked) == 1


def test_a_pair_that_takes_too_long_is_stopped_counted_and_the_next_ones_are_graded(empty_cache):
    result = rewards([r"\boxed{\sqrt{2}}", r"\boxed{7\pi}"], [r"\sqrt{2}+1", r"7 \pi"], timeout=1e-6)
    assert (list(result), result.timeouts, result.errors) == ([0.0, 0.0], 2, 0)
    verify.VERDICTS.clear()
    result = rewards([r"\boxed{\sqrt{2}}", r"\boxed{7\pi}"], [r"\sqrt{2}+1", r"7 \pi"])
    assert (list(result), result.timeouts, result.errors) == ([0.0, 1.0], 0, 0)


def test_a_killed_worker_is_an_error_that_is_counted_and_is_replaced(empty_cache):
    assert rewards([r"\boxed{\sqrt{4}}"], ["2"]) == [1.0]
    for worker in verify.WORKERS:
        if worker.process:
            worker.process.send_signal(signal.SIGSTOP)          # the pair is still there when the kill comes
    timer = threading.Timer(0.3, lambda: [w.process and w.process.kill() for w in verify.WORKERS])
    timer.start()
    result = rewards([r"\boxed{\sqrt{9}}"], ["3"])
    timer.join()
    assert (list(result), result.timeouts, result.errors) == ([0.0], 0, 1)
    verify.VERDICTS.clear()
    assert rewards([r"\boxed{\sqrt{9}}"], ["3"]) == [1.0]


def test_workers_have_bounded_memory_and_neither_torch_nor_tyro(empty_cache):
    rewards([r"\boxed{\sqrt{4}}"], ["2"])
    process = next(w.process for w in verify.WORKERS if w.process)
    limits = Path(f"/proc/{process.pid}/limits").read_text()
    assert str(verify.MEMORY) in next(line for line in limits.splitlines() if "Max address space" in line)
    maps = Path(f"/proc/{process.pid}/maps").read_text()
    assert "torch" not in maps
    code = "import verify, sys; assert not {'torch', 'tyro', 'sympy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_rewards_work_from_several_threads_at_once(empty_cache):
    results = {}

    def grade(k):
        roots = range(k, k + 20)
        results[k] = rewards([rf"\boxed{{\sqrt{{{j * j}}}}}" for j in roots], [str(j) for j in roots])
    threads = [threading.Thread(target=grade, args=(k,)) for k in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {k: [1.0] * 20 for k in range(6)}


def test_a_killed_parent_leaves_no_worker_behind():
    code = (r"import verify, time; verify.rewards([r'\boxed{\sqrt{4}}', r'\boxed{\sqrt{9}}'], ['2', '3']);"
            "print(*(w.process.pid for w in verify.WORKERS), flush=True); time.sleep(60)")
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    assert len(pids) == 2 and all(os.path.exists(f"/proc/{pid}") for pid in pids)
    parent.kill()
    parent.communicate()

    def running(pid):
        try:
            return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"       # a zombie is gone
        except FileNotFoundError:
            return False
    deadline = time.time() + 10
    while any(map(running, pids)) and time.time() < deadline:
        time.sleep(0.05)
    assert not any(map(running, pids))


# ---- the source, and the command line ----------------------------------------------------------------------

PLAIN_NUMBERS = ("0", "-0", "3", "03", "3.0", "-3", "12.8", "12.80", "64/5", r"\frac{64}{5}", r"-\frac{64}{5}", "-12.8", "0.5",
                 "1/2", r"\frac{2}{4}", "0.333", "1/3", "20161", "20160", "123456789012345678", "0/7")


@pytest.mark.parametrize("answer", PLAIN_NUMBERS)
def test_plain_numbers_are_graded_without_the_grammar_and_as_by_it(answer):
    assert verify.PLAIN.fullmatch(answer)
    for gold in PLAIN_NUMBERS:
        assert verify.grade(answer, gold) == is_equivalent(answer, gold)


def test_the_source_has_no_way_to_run_text_as_code():
    import ast
    files = [ROOT / "verify.py", *(ROOT / "answers").glob("*.py")]
    assert len(files) == 6
    for file in files:
        names = {n.id for n in ast.walk(ast.parse(file.read_text())) if isinstance(n, ast.Name)}
        assert not names & {"eval", "exec", "compile", "__import__", "sympify", "parse_expr", "lambdify"}


def command_line(*options):
    return subprocess.run([sys.executable, "verify.py", *options], cwd=ROOT, capture_output=True, text=True)


def test_the_command_line_says_what_was_extracted_how_it_was_read_and_the_verdict(tmp_path):
    done = command_line("--response", r"so \boxed{\frac{64}{5}}", "--gold", "12.8")
    assert done.returncode == 0 and done.stdout.startswith("right: ") and "frac{64}{5}" in done.stdout
    file = tmp_path / "pairs.jsonl"
    file.write_text('{"response": "\\\\boxed{5}", "gold": "6"}\n\n{"response": "a\u2028we get 6", "gold": 6}\n'
                    '{"response": "\\\\boxed{57+39}", "gold": "96"}\n{"response": "\\\\boxed{96}", "gold": "57+39"}\n',
                    encoding="utf-8")              # a blank line, and a U+2028, which is no end of a line
    lines = command_line("--file", str(file)).stdout.splitlines()
    assert [line.split(":")[0] for line in lines] == ["wrong", "wrong", "wrong", "right"] and "no answer" in lines[1]


@pytest.mark.parametrize("options, part", [
    ((), "give"), (("--response", "5"), "give"), (("--file", "no.jsonl"), "no.jsonl"),
    (("--file", "FILE"), "line 2"), (("--grader", "mine"), "grader")])
def test_bad_input_on_the_command_line_is_one_line_and_exit_code_2(options, part, tmp_path):
    file = tmp_path / "pairs.jsonl"
    file.write_text('{"response": "5", "gold": "5"}\n{"response": "5"}\n')
    done = command_line(*(str(file) if option == "FILE" else option for option in options))
    assert done.returncode == 2 and done.stdout == ""
    assert part in done.stderr and "Traceback" not in done.stderr
