import { onCLS, onFCP, onINP, onLCP, onTTFB } from 'web-vitals';
import { offer } from './bench';

for (const on of [onCLS, onFCP, onINP, onLCP, onTTFB]) on(() => undefined);
offer({});
