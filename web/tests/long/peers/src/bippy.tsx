import './bippy-counter'; // before React
import { offer } from './bench';

offer({});
